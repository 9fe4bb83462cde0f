import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import pLimit from 'p-limit'
import { emailErrors, enteredEmail, errorsByField } from '../src/api/account-input.ts'
import { serviceUnavailable, unprocessable } from '../src/api/errors.ts'
import { MESSAGES } from '../src/api/messages.ts'
import { isEmail } from '../src/auth/email.ts'
import { hashResetToken, mintResetToken } from '../src/auth/reset-token.ts'
import { findResetToken, keepResetToken } from '../src/database/password-resets.ts'
import { type Account, findUserByEmail, resetPassword } from '../src/database/users.ts'
import { accountKey } from '../src/limits/attempt-limit.ts'

type Entered = string | null | undefined

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * Sends a link to a new password if there is an account with an address, once a minute at most.
     *
     * @param asked.page where the link leads, with the token as `?token=`
     * @param asked.reveals whether it may be told that there is no such account, or that it was asked for just now
     * @throws {HttpError} 422 for what is no address, and for what may be told; 429 when the limit is used up
     */
    askForPasswordReset(
      reply: FastifyReply,
      asked: { email: Entered; page: URL; reveals: boolean },
    ): Promise<void>
    /**
     * Gives a user a new password with the token of a mail, which ends all of the user's sessions and remembered
     * browsers.
     *
     * @throws {HttpError} 422 for a wrong token and for a password that nobody can have; 429 when the limit is used up
     */
    resetPassword(
      reply: FastifyReply,
      entered: {
        token: Entered
        email: Entered
        password: Entered
        repeated: Entered
        revokeTokens: boolean
      },
    ): Promise<void>
  }
}

/** Requests that wait for their work to be done, after their answer. */
const WAITING = 1_000

/** How long the end of the server waits for that, in milliseconds. */
const CLOSE_MS = 3_000

/** Adds what users do who have forgotten their passwords, on the website and in the panel. */
export default fp(
  async app => {
    const { config, clock, random } = app
    const { kysely } = app.database

    /** Sends a link, and says whether: not within a minute of the last one, which stays good. */
    const sendLink = async (user: Account, page: URL): Promise<boolean> => {
      if (!(await app.mail.mayReceive('passwordReset', user.email))) return false
      const token = mintResetToken(random)
      const isKept = await keepResetToken(kysely, {
        email: user.email,
        token: await hashResetToken(token),
        now: clock(),
      })
      if (!isKept) return false
      const url = new URL(page)
      url.searchParams.set('token', token.reveal())
      await app.mail.sendPasswordReset(user, url.href)
      return true
    }

    const later = pLimit(1)
    const promised = new WeakMap<FastifyRequest, () => Promise<unknown>>()
    app.onRequestEnd(request => {
      const work = promised.get(request)
      if (work !== undefined) {
        later(work).catch(error =>
          request.log.error({ err: error }, 'a link to a new password could not be sent'),
        )
      }
    })
    app.addHook('onClose', async () => {
      // What is done by then is done: the last in the queue is this.
      await Promise.race([later(async () => {}), delay(CLOSE_MS, undefined, { ref: false })])
      later.clearQueue()
    })

    app.decorateRequest(
      'askForPasswordReset',
      async function (this: FastifyRequest, reply: FastifyReply, { email: entered, page, reveals }) {
        const email = enteredEmail(entered)
        await app.attempts.count(this, reply, 'forgot_password', accountKey(email ?? ''))
        if (email === null || !isEmail(email)) throw unprocessable({ email: emailErrors(email) })

        const work = async (): Promise<'sent' | 'unknown' | 'throttled'> => {
          const user = await findUserByEmail(kysely, email)
          const isSent = user !== null && (await sendLink(user, page))
          const outcome = user === null ? 'unknown' : isSent ? 'sent' : 'throttled'
          this.record('password reset asked for', { userId: user?.id ?? null, cause: outcome })
          return outcome
        }
        if (reveals) {
          const outcome = await work()
          if (outcome === 'unknown') throw unprocessable({ email: [MESSAGES.unknownEmail] })
          if (outcome === 'throttled') throw unprocessable({ email: [MESSAGES.resetThrottled] })
        } else {
          // Nothing that depends on the account happens before the answer: so it takes no time that could be told apart.
          if (later.pendingCount >= WAITING) throw serviceUnavailable()
          promised.set(this, work)
        }
      },
    )

    app.decorateRequest(
      'resetPassword',
      async function (
        this: FastifyRequest,
        reply: FastifyReply,
        { token, email: entered, password, repeated, revokeTokens },
      ) {
        const email = enteredEmail(entered)
        await app.attempts.count(this, reply, 'reset_password', accountKey(email ?? ''))
        const errors = errorsByField({
          token: token == null ? [MESSAGES.rules.required('token')] : [],
          email: email === null || !isEmail(email) ? emailErrors(email) : [],
          password: await app.screening.passwordErrors(password, repeated),
        })
        if (errors !== null) throw unprocessable(errors)

        const user = await findUserByEmail(kysely, email as string)
        if (user === null && config.revealUnknownEmail)
          throw unprocessable({ email: [MESSAGES.unknownEmail] })
        const stored = user && (await findResetToken(kysely, user.email, clock()))
        const isRight = await app.verifyResetToken(this, token as string, stored)
        if (!isRight || user === null || stored === null) {
          throw unprocessable({ email: [MESSAGES.wrongResetToken] })
        }

        const hash = await app.hashPassword(this, password as string)
        const done = await resetPassword(kysely, user, {
          token: stored,
          hash,
          revokeTokens,
          types: config.tokenableTypes,
          address: this.clientAddress.key,
          now: clock(),
        })
        if (done === null) throw unprocessable({ email: [MESSAGES.wrongResetToken] })
        this.record('password reset', { userId: user.id, ...done })
      },
    )
  },
  {
    name: 'forgotten-password',
    dependencies: ['attempts', 'client-address', 'credentials', 'events', 'mail', 'request-end', 'screening'],
  },
)
