import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import {
  mintRecoveryCodes,
  mintTotpSecret,
  parseRecoveryCodes,
  spendRecoveryCode,
  totpStep,
} from '../src/auth/second-factor.ts'
import {
  confirmSecondFactor,
  findSecondFactor,
  replaceRecoveryCodes,
  storeSecondFactor,
  useStep,
} from '../src/database/second-factors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    secondFactor: SecondFactor
  }
}

/** A user's second factor, as its user may see it. */
interface ShownSecondFactor {
  /** In base32; null while there is none. */
  secret: string | null
  recoveryCodes: readonly string[]
}

interface SecondFactor {
  show(userId: number): Promise<ShownSecondFactor>
  /** Makes a new one, which is to be confirmed, unless there is one that is not to be replaced. Says whether. */
  enable(userId: number, options: { isForced: boolean }): Promise<boolean>
  /** Makes new recovery codes in the place of those that are there. */
  replaceRecoveryCodes(userId: number): Promise<void>
  /** Whether a code of the authenticator app is right, and was not used before. It is used then. */
  acceptsCode(request: FastifyRequest, userId: number, code: string): Promise<boolean>
  /** The same, for the code that shows that the app knows the secret: from then on it is asked for. */
  confirm(request: FastifyRequest, userId: number, code: string): Promise<boolean>
  /** Whether a recovery code is right. It is used then. */
  acceptsRecoveryCode(request: FastifyRequest, userId: number, code: string): Promise<boolean>
}

/** Adds `app.secondFactor`, which keeps its secrets encrypted as Laravel does. */
export default fp(
  async app => {
    const { clock, random, log, keys } = app
    const { kysely } = app.database

    /** A column's text; null for none, and for one that no key of ours opens. */
    const open = (userId: number, column: string, payload: string | null): string | null => {
      if (payload === null) return null
      const text = keys.encryption().decrypt(payload)
      if (text === null) {
        log.error(
          { userId, column },
          'a second factor cannot be read: was the key with which it was written left out of APP_PREVIOUS_KEYS?',
        )
      }
      return text
    }
    const openCodes = (userId: number, payload: string | null) =>
      parseRecoveryCodes(open(userId, 'two_factor_recovery_codes', payload) ?? '[]') ?? []
    const seal = (codes: readonly string[]) => keys.encryption().encrypt(JSON.stringify(codes))

    /** Runs a change of a user's recovery codes until nobody else has changed them meanwhile. */
    const changeCodes = async (
      userId: number,
      change: (codes: readonly string[]) => readonly string[] | null,
    ): Promise<boolean> => {
      for (;;) {
        const stored = await findSecondFactor(kysely, userId)
        const codes = stored && change(openCodes(userId, stored.recoveryCodes))
        if (!codes) return false
        if (await replaceRecoveryCodes(kysely, userId, { from: stored.recoveryCodes, to: seal(codes) }))
          return true
      }
    }

    const judgeCode = async (userId: number, stored: string | null, code: string): Promise<boolean> => {
      const secret = open(userId, 'two_factor_secret', stored)
      const step = secret === null ? null : totpStep(secret, code, clock())
      return step !== null && (await useStep(kysely, userId, step))
    }

    const judged = async (
      request: FastifyRequest,
      userId: number,
      cause: 'code' | 'recovery code',
      verify: () => Promise<boolean>,
    ): Promise<boolean> => {
      const isRight = await app.attempts.judge(request, 'two_factor', {
        account: String(userId),
        userId,
        verify,
      })
      if (!isRight) request.record('wrong code', { userId, cause })
      return isRight
    }

    app.decorate('secondFactor', {
      async show(userId) {
        const stored = await findSecondFactor(kysely, userId)
        return {
          secret: open(userId, 'two_factor_secret', stored?.secret ?? null),
          recoveryCodes: openCodes(userId, stored?.recoveryCodes ?? null),
        }
      },
      enable: (userId, { isForced }) =>
        storeSecondFactor(kysely, userId, {
          secret: keys.encryption().encrypt(mintTotpSecret(random)),
          recoveryCodes: seal(mintRecoveryCodes(random)),
          isForced,
          now: clock(),
        }),
      async replaceRecoveryCodes(userId) {
        await changeCodes(userId, () => mintRecoveryCodes(random))
      },
      acceptsCode: (request, userId, code) =>
        judged(request, userId, 'code', async () => {
          const stored = await findSecondFactor(kysely, userId)
          return judgeCode(userId, stored?.secret ?? null, code)
        }),
      confirm: (request, userId, code) =>
        judged(request, userId, 'code', async () => {
          const secret = (await findSecondFactor(kysely, userId))?.secret ?? null
          if (secret === null || !(await judgeCode(userId, secret, code))) return false
          const device = request.session?.device ?? null
          return confirmSecondFactor(kysely, userId, { secret, device, now: clock() })
        }),
      acceptsRecoveryCode: (request, userId, code) =>
        judged(request, userId, 'recovery code', () =>
          changeCodes(userId, codes => spendRecoveryCode(codes, code, random)),
        ),
    })
  },
  { name: 'second-factor', dependencies: ['attempts', 'events', 'keys'] },
)
