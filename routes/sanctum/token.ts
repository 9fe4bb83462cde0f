import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { refusal, successResponse } from '#src/api/responses.ts'
import { TokenName } from '#src/input/fields.ts'
import { toTitle } from '#src/input/list.ts'
import { Proof, readProof } from '#src/input/second-factor.ts'
import { TOKEN_TERMS } from '#src/input/token.ts'
import { convertFields, EnteredPassword } from '#src/input/values.ts'

const Issued = Type.Object(
  { token: Type.String() },
  {
    description: 'The token, `{id}|{secret}`.',
    examples: [{ token: '42|gkeZ2Vk1TzAVksSA9sQEkyM9EaEvyDaTaK4eEBPk0eeb2480' }],
  },
)

const token: FastifyPluginAsyncTypebox = async app => {
  if (!app.config.tokenLogin) return

  app.post(
    '/token',
    {
      // Not by a session: its cookie is ignored, and no CSRF token is needed.
      config: { access: { auth: 'none', via: 'token' } },
      schema: {
        operationId: 'sanctum.token',
        tags: ['token'],
        summary: 'Log in for a token',
        description:
          'For applications that have no browser. With a second factor, `code` or `recovery_code` is required: 422 with `errors.code` otherwise. Limited to LOGIN_RATE_LIMIT attempts per minute, and wrong codes to TWO_FACTOR_RATE_LIMIT.',
        body: Type.Object({
          email: Type.String({
            maxLength: 255,
            description: 'Case-insensitive.',
            examples: ['demo@example.org'],
          }),
          password: EnteredPassword,
          device_name: TokenName,
          ...TOKEN_TERMS,
          ...Proof,
        }),
        response: {
          201: successResponse(Issued),
          403: refusal("The user's e-mail address is not verified, or the user has too many tokens."),
        },
      },
      preValidation: convertFields({ device_name: toTitle }),
    },
    async (request, reply) => {
      const { email, password, device_name: name, abilities, allowed_ips, expires_at } = request.body
      const { plain } = await app.tokenLogin.issue(request, {
        email,
        password,
        proof: readProof(request.body),
        wanted: { name, abilities, allowed_ips, expires_at },
      })
      return reply.code(201).send({ token: plain.reveal() })
    },
  )
}

export default token
