import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { renderUser, USER_EXAMPLE, UserSchema } from '../../../src/api/resources/user.ts'
import { success } from '../../../src/api/responses.ts'
import type { Identity } from '../../../src/auth/identity.ts'

const me: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '',
    {
      config: { access: { auth: 'required' } },
      schema: {
        operationId: 'me.show',
        tags: ['me'],
        summary: 'Show the authenticated user',
        description:
          'Returns the user to whom the token belongs. No permission is needed, nor a verified e-mail address.',
        response: {
          200: success(
            Type.Object(
              { user: UserSchema },
              { description: 'The authenticated user.', examples: [{ user: USER_EXAMPLE }] },
            ),
            { isApi: true },
          ),
        },
      },
    },
    async request => ({ user: renderUser((request.identity as Identity).user) }),
  )
}

export default me
