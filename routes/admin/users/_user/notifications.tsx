import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { NOTIFICATION_LIMITS, TYPE_PATTERN } from '#src/input/notification.ts'
import { HIDDEN, staffAccess } from '#src/panel/access.ts'
import { userPath } from '#src/panel/paths.ts'
import { rerenderUserPage, UserParams, userIdOf } from '#src/panel/user-page.tsx'

/** Sends notifications to a user. */
const notifications: FastifyPluginAsyncTypebox = async app => {
  app.post(
    '/notify',
    {
      config: { access: staffAccess('view user', 'update user') },
      schema: {
        ...HIDDEN,
        params: UserParams,
        body: Type.Object({
          type: Type.String({ minLength: 1, maxLength: NOTIFICATION_LIMITS.type, pattern: TYPE_PATTERN }),
          data: Type.String({ maxLength: NOTIFICATION_LIMITS.data, pattern: '^[^\\u0000]*$' }),
        }),
      },
      errorHandler: rerenderUserPage(app, 'notification'),
    },
    async (request, reply) => {
      const userId = userIdOf(request)
      await app.notifications.send(request, userId, request.body)
      return reply.redirectWithFlash(userPath(userId), 'user-notified')
    },
  )
}

export default notifications
