import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { HttpError } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { emptyJson, failure, sendEmptyJson, success } from '#src/api/responses.ts'
import { totpQrCode } from '#src/auth/second-factor.ts'
import type { Access } from '#src/http/access.ts'
import { isYes, optionalText } from '#src/input/account.ts'

/** Whoever finds a browser that is logged in must not take the second factor from its user, nor give one. */
const access: Access = { auth: 'required', via: 'session', password: 'confirmed', beforeSecondFactor: true }

/** A code of the authenticator app, or a recovery code, for what weakens a confirmed second factor. */
const Proof = { code: optionalText('123456'), recovery_code: optionalText('FbeNR0JtHA-mpIgLYOQiL') }

const proofOf = ({ code = null, recovery_code: recoveryCode = null }: ProofFields) => ({ code, recoveryCode })

interface ProofFields {
  code?: string | null
  recovery_code?: string | null
}

const QrCode = Type.Union(
  [Type.Object({ svg: Type.String(), url: Type.String() }), Type.Array(Type.Never(), { maxItems: 0 })],
  {
    description:
      'The secret as a picture and as a URI, for authenticator apps; an empty list without one, and once it is confirmed.',
    examples: [
      {
        svg: '<svg …>',
        url: 'otpauth://totp/AnimeThemes:demo%40example.org?issuer=AnimeThemes&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=SHA1&digits=6&period=30',
      },
    ],
  },
)

const twoFactor: FastifyPluginAsyncTypebox = async app => {
  const { secondFactor } = app
  const tags = ['two-factor']

  app.post(
    '/two-factor-authentication',
    {
      config: { access },
      schema: {
        operationId: 'two-factor.enable',
        tags,
        summary: 'Enable the second factor',
        description:
          'Makes a secret for an authenticator app and eight recovery codes, unless they are there already. It is asked for once a code has confirmed it. To replace a confirmed one takes one of its codes or recovery codes.',
        body: Type.Object({
          force: Type.Optional(
            Type.Unknown({
              description: 'Whether to make new ones in any case; they have to be confirmed again.',
              examples: [false],
            }),
          ),
          ...Proof,
        }),
        response: { 200: emptyJson('It is there.') },
      },
    },
    async (request, reply) => {
      const isForced = isYes(request.body.force)
      await secondFactor.enable(request, { isForced, proof: proofOf(request.body) })
      return sendEmptyJson(reply)
    },
  )

  app.post(
    '/confirmed-two-factor-authentication',
    {
      config: { access },
      schema: {
        operationId: 'two-factor.confirm',
        tags,
        summary: 'Confirm the second factor',
        description:
          'With a code of the authenticator app: from then on every login asks for one. All other sessions of the user end, and all other browsers are forgotten. TWO_FACTOR_RATE_LIMIT attempts a minute; the headers tell what is left.',
        body: Type.Object({ code: optionalText('123456') }),
        response: { 200: emptyJson('It is confirmed.') },
      },
    },
    async (request, reply) => {
      await secondFactor.confirm(request, request.body.code ?? null)
      return sendEmptyJson(reply)
    },
  )

  app.delete(
    '/two-factor-authentication',
    {
      config: { access },
      schema: {
        operationId: 'two-factor.disable',
        tags,
        summary: 'Disable the second factor',
        description:
          'The secret and the recovery codes are deleted, and the user is told by mail. A confirmed one takes one of its codes or recovery codes, unless TWO_FACTOR_DISABLE_NEEDS_CODE is false.',
        body: Type.Object(Proof),
        response: { 200: emptyJson('There is none.') },
      },
    },
    async (request, reply) => {
      await secondFactor.disable(request, proofOf(request.body))
      return sendEmptyJson(reply)
    },
  )

  app.get(
    '/two-factor-qr-code',
    {
      config: { access },
      schema: {
        operationId: 'two-factor.qr-code',
        tags,
        summary: 'Show the secret as a QR code',
        description: 'As an SVG, to be scanned by an authenticator app, until it is confirmed.',
        response: { 200: success(QrCode) },
      },
    },
    async request => {
      const secret = await secondFactor.pendingSecret(request)
      if (secret === null) return []
      return totpQrCode(secret, { issuer: app.config.appName, account: request.user().email })
    },
  )

  app.get(
    '/two-factor-secret-key',
    {
      config: { access },
      schema: {
        operationId: 'two-factor.secret-key',
        tags,
        summary: 'Show the secret',
        description: 'For users who cannot scan the QR code, until it is confirmed.',
        response: {
          200: success(
            Type.Object(
              { secretKey: Type.String() },
              {
                description: 'In base32, to be typed into an authenticator app.',
                examples: [{ secretKey: 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ' }],
              },
            ),
          ),
          404: failure('There is none, or it is confirmed already.', MESSAGES.secondFactorDisabled),
        },
      },
    },
    async request => {
      const secret = await secondFactor.pendingSecret(request)
      if (secret === null) throw new HttpError(404, MESSAGES.secondFactorDisabled)
      return { secretKey: secret }
    },
  )

  app.get(
    '/two-factor-recovery-codes',
    {
      config: { access },
      schema: {
        operationId: 'two-factor.recovery-codes',
        tags,
        summary: 'Show the recovery codes',
        description:
          'To be kept where the authenticator app is not. Each that is used gives way to a new one. Those of a confirmed second factor take one of its codes or recovery codes, except in the ten minutes after they were made.',
        querystring: Type.Object(Proof),
        response: {
          200: success(
            Type.Array(Type.String(), {
              description: 'Codes that count once each, in the place of the authenticator app.',
              examples: [['FbeNR0JtHA-mpIgLYOQiL']],
            }),
          ),
        },
      },
    },
    request => secondFactor.recoveryCodes(request, proofOf(request.query)),
  )

  app.post(
    '/two-factor-recovery-codes',
    {
      config: { access },
      schema: {
        operationId: 'two-factor.replace-recovery-codes',
        tags,
        summary: 'Make new recovery codes',
        description:
          'Those that there were count no more. A confirmed second factor takes one of its codes or recovery codes.',
        body: Type.Object(Proof),
        response: { 200: emptyJson('They are made.') },
      },
    },
    async (request, reply) => {
      await secondFactor.replaceRecoveryCodes(request, proofOf(request.body))
      return sendEmptyJson(reply)
    },
  )
}

export default twoFactor
