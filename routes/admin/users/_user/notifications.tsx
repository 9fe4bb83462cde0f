import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { NOTIFICATION_LIMITS, TYPE_PATTERN } from '#src/input/notification.ts'
import { HIDDEN, staff } from '#src/panel/access.ts'
import { userPath } from '#src/panel/paths.ts'
import { backToUser, UserParams, userIdOf } from '#src/panel/user-page.tsx'

/** The notifications of a user. */
const notifications: FastifyPluginAsyncTypebox = async app => {
  app.post(
    '/notify',
    {
      config: { access: staff('view user', 'update user') },
      schema: {
        ...HIDDEN,
        params: UserParams,
        body: Type.Object({
          type: Type.String({ minLength: 1, maxLength: NOTIFICATION_LIMITS.type, pattern: TYPE_PATTERN }),
          data: Type.String({ maxLength: NOTIFICATION_LIMITS.data, pattern: '^[^\\u0000]*$' }),
        }),
      },
      errorHandler: backToUser(app, 'notification'),
    },
    async (request, reply) => {
      const userId = userIdOf(request)
      await app.notifications.send(request, userId, request.body)
      return reply.done(userPath(userId), 'user-notified')
    },
  )
}

export default notifications
