import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { renderSVG } from 'uqr'
import type { Access } from '../../../plugins/access.ts'
import { isYes, optionalText } from '../../../src/api/account-input.ts'
import { HttpError, unprocessable } from '../../../src/api/errors.ts'
import { MESSAGES } from '../../../src/api/messages.ts'
import { emptyJson, failure, sendEmptyJson, success } from '../../../src/api/responses.ts'
import type { SessionIdentity } from '../../../src/auth/identity.ts'
import { totpUri } from '../../../src/auth/second-factor.ts'
import { removeSecondFactor } from '../../../src/database/second-factors.ts'

/** Whoever finds a browser that is logged in must not take the second factor from its user, nor give one. */
const access: Access = { auth: 'required', via: 'session', password: 'confirmed', beforeSecondFactor: true }

const QrCode = Type.Union(
  [Type.Object({ svg: Type.String(), url: Type.String() }), Type.Array(Type.Never(), { maxItems: 0 })],
  {
    description: 'The secret as a picture and as a URI, for authenticator apps; an empty list without one.',
    examples: [
      {
        svg: '<svg …>',
        url: 'otpauth://totp/AnimeThemes:demo%40example.org?issuer=AnimeThemes&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=SHA1&digits=6&period=30',
      },
    ],
  },
)

/** How large the QR code is shown, in pixels, as Laravel has it. */
const QR_SIZE = 192

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
          'Makes a secret for an authenticator app and eight recovery codes, unless they are there already. It is asked for once a code has confirmed it.',
        body: Type.Object({
          force: Type.Optional(
            Type.Unknown({
              description: 'Whether to make new ones in any case; they have to be confirmed again.',
              examples: [false],
            }),
          ),
        }),
        response: { 200: emptyJson('It is there.') },
      },
    },
    async (request, reply) => {
      const { user } = request.identity as SessionIdentity
      const isForced = isYes(request.body.force)
      if (await secondFactor.enable(user.id, { isForced })) {
        request.record('second factor enabled', { userId: user.id })
        if (user.twoFactorConfirmedAt !== null) await app.mail.notify('secondFactorRemoved', user)
      }
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
          'With a code of the authenticator app: from then on every login asks for one. Browsers that were remembered without it are forgotten. TWO_FACTOR_RATE_LIMIT attempts a minute; the headers tell what is left.',
        body: Type.Object({ code: optionalText('123456') }),
        response: { 200: emptyJson('It is confirmed.') },
      },
    },
    async (request, reply) => {
      const { user } = request.identity as SessionIdentity
      const { code = null } = request.body
      await app.attempts.count(request, reply, 'two_factor', String(user.id))
      if (code === null || !(await secondFactor.confirm(request, user.id, code))) {
        throw unprocessable({ code: [MESSAGES.wrongCode] })
      }
      request.record('second factor confirmed', { userId: user.id })
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
        description: 'The secret and the recovery codes are deleted, and the user is told by mail.',
        response: { 200: emptyJson('There is none.') },
      },
    },
    async (request, reply) => {
      const { user } = request.identity as SessionIdentity
      if (await removeSecondFactor(app.database.kysely, user.id, app.clock())) {
        request.record('second factor removed', { userId: user.id })
        if (user.twoFactorConfirmedAt !== null) await app.mail.notify('secondFactorRemoved', user)
      }
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
        description: 'As an SVG, to be scanned by an authenticator app.',
        response: { 200: success(QrCode, { isLimited: true }) },
      },
    },
    async request => {
      const { user } = request.identity as SessionIdentity
      const { secret } = await secondFactor.show(user.id)
      if (secret === null) return []
      const url = totpUri(secret, { issuer: app.config.appName, account: user.email })
      return { svg: renderSVG(url).replace('<svg ', `<svg width="${QR_SIZE}" height="${QR_SIZE}" `), url }
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
        description: 'For who cannot scan the QR code.',
        response: {
          200: success(
            Type.Object(
              { secretKey: Type.String() },
              {
                description: 'In base32, to be typed into an authenticator app.',
                examples: [{ secretKey: 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ' }],
              },
            ),
            { isLimited: true },
          ),
          404: failure('There is no second factor.', MESSAGES.secondFactorDisabled),
        },
      },
    },
    async request => {
      const { user } = request.identity as SessionIdentity
      const { secret } = await secondFactor.show(user.id)
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
          'To be kept where the authenticator app is not. Each that is used gives way to a new one.',
        response: {
          200: success(
            Type.Array(Type.String(), {
              description: 'Codes that count once each, in the place of the authenticator app.',
              examples: [['FbeNR0JtHA-mpIgLYOQiL']],
            }),
            { isLimited: true },
          ),
        },
      },
    },
    async request => {
      const { user } = request.identity as SessionIdentity
      const { recoveryCodes } = await secondFactor.show(user.id)
      request.record('recovery codes shown', { userId: user.id })
      return [...recoveryCodes]
    },
  )

  app.post(
    '/two-factor-recovery-codes',
    {
      config: { access },
      schema: {
        operationId: 'two-factor.replace-recovery-codes',
        tags,
        summary: 'Make new recovery codes',
        description: 'Those that there were count no more.',
        response: { 200: emptyJson('They are made.') },
      },
    },
    async (request, reply) => {
      const { user } = request.identity as SessionIdentity
      await secondFactor.replaceRecoveryCodes(user.id)
      request.record('recovery codes replaced', { userId: user.id })
      return sendEmptyJson(reply)
    },
  )
}

export default twoFactor
