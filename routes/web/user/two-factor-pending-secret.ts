import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { refusal, successResponse } from '#src/api/responses.ts'
import { totpQrCode } from '#src/auth/second-factor.ts'
import { SECOND_FACTOR_ACCESS } from '#src/http/second-factor-access.ts'
import { HttpError } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const QrCode = Type.Union(
  [Type.Object({ svg: Type.String(), url: Type.String() }), Type.Array(Type.Never(), { maxItems: 0 })],
  {
    description:
      'The secret as a QR code and as a URI for authenticator apps. An empty list if there is no unconfirmed second factor.',
    examples: [
      {
        svg: '<svg …>',
        url: 'otpauth://totp/AnimeThemes:demo%40example.org?issuer=AnimeThemes&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=SHA1&digits=6&period=30',
      },
    ],
  },
)

const qrCodeSchema = {
  operationId: 'two-factor.qr-code',
  tags: ['two-factor'],
  summary: 'Show the secret as a QR code',
  description: 'Returns an SVG for authenticator apps, until the second factor is confirmed.',
  response: { 200: successResponse(QrCode) },
}

const secretKeySchema = {
  operationId: 'two-factor.secret-key',
  tags: ['two-factor'],
  summary: 'Show the secret',
  description: 'For users who cannot scan the QR code, until the second factor is confirmed.',
  response: {
    200: successResponse(
      Type.Object(
        { secretKey: Type.String() },
        {
          description: 'The secret in base32.',
          examples: [{ secretKey: 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ' }],
        },
      ),
    ),
    404: refusal('There is no second factor, or it is confirmed already.'),
  },
}

/** Shows the secret of an unconfirmed second factor. */
const pendingSecret: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '/two-factor-qr-code',
    {
      config: { access: SECOND_FACTOR_ACCESS },
      schema: qrCodeSchema,
    },
    async request => {
      const secret = await app.secondFactor.pendingSecret(request)
      if (secret === null) return []
      return totpQrCode(secret, { issuer: app.config.appName, account: request.user().email })
    },
  )

  app.get(
    '/two-factor-secret-key',
    {
      config: { access: SECOND_FACTOR_ACCESS },
      schema: secretKeySchema,
    },
    async request => {
      const secret = await app.secondFactor.pendingSecret(request)
      if (secret === null) throw new HttpError(404, MESSAGES.secondFactorDisabled)
      return { secretKey: secret }
    },
  )
}

export default pendingSecret
