import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import pLimit from 'p-limit'
import { Type } from 'typebox'
import { emailErrors, enteredEmail, optionalText } from '../../src/api/account-input.ts'
import { serviceUnavailable, unprocessable } from '../../src/api/errors.ts'
import { MESSAGES } from '../../src/api/messages.ts'
import { guestMessage } from '../../src/api/responses.ts'
import { isEmail } from '../../src/auth/email.ts'
import { hashResetToken, mintResetToken } from '../../src/auth/reset-token.ts'
import { keepResetToken } from '../../src/database/password-resets.ts'
import { type Account, findUserByEmail } from '../../src/database/users.ts'
import { accountKey } from '../../src/limits/attempt-limit.ts'

const Body = Type.Object({ email: optionalText('demo@example.org') })

/** Requests that wait for their work to be done, after their answer. */
const WAITING = 1_000

/** How long the end of the server waits for that, in milliseconds. */
const CLOSE_MS = 3_000

const forgotPassword: FastifyPluginAsyncTypebox = async app => {
  const { config, clock, random } = app
  const { kysely } = app.database

  /** Sends a link, and says whether: not within a minute of the last one, which stays good. */
  const sendLink = async (user: Account): Promise<boolean> => {
    if (!(await app.mail.mayReceive('passwordReset', user.email))) return false
    const token = mintResetToken(random)
    const isKept = await keepResetToken(kysely, {
      email: user.email,
      token: await hashResetToken(token),
      now: clock(),
    })
    if (!isKept) return false
    const url = new URL(config.resetPasswordUrl)
    url.searchParams.set('token', token.reveal())
    await app.mail.sendPasswordReset(user, url.href)
    return true
  }

  const later = pLimit(1)
  const promised = new WeakMap<FastifyRequest, () => Promise<unknown>>()
  app.addHook('onResponse', (request, _reply, done) => {
    const work = promised.get(request)
    if (work !== undefined) {
      later(work).catch(error =>
        request.log.error({ err: error }, 'a link to a new password could not be sent'),
      )
    }
    done()
  })
  app.addHook('onClose', async () => {
    // What is done by then is done: the last in the queue is this.
    await Promise.race([later(async () => {}), delay(CLOSE_MS, undefined, { ref: false })])
    later.clearQueue()
  })

  app.post(
    '/forgot-password',
    {
      config: { access: { auth: 'guest', via: 'session' } },
      schema: {
        operationId: 'forgot-password',
        tags: ['account'],
        summary: 'Ask for a link to a new password',
        description:
          'Sends a mail, if there is an account with the address, once a minute at most. The answer is the same in any case, and comes after the same time; with REVEAL_UNKNOWN_EMAIL it tells. FORGOT_PASSWORD_RATE_LIMIT attempts a minute; the headers tell what is left.',
        body: Body,
        response: {
          200: guestMessage('It is seen to.', MESSAGES.resetLinkSent),
        },
      },
    },
    async (request, reply) => {
      const email = enteredEmail(request.body.email)
      await app.attempts.count(request, reply, 'forgot_password', accountKey(email ?? ''))
      if (email === null || !isEmail(email)) throw unprocessable({ email: emailErrors(email) })

      const work = async (): Promise<'sent' | 'unknown' | 'throttled'> => {
        const user = await findUserByEmail(kysely, email)
        const isSent = user !== null && (await sendLink(user))
        const outcome = user === null ? 'unknown' : isSent ? 'sent' : 'throttled'
        request.record('password reset asked for', { userId: user?.id ?? null, cause: outcome })
        return outcome
      }
      if (config.revealUnknownEmail) {
        const outcome = await work()
        if (outcome === 'unknown') throw unprocessable({ email: [MESSAGES.unknownEmail] })
        if (outcome === 'throttled') throw unprocessable({ email: [MESSAGES.resetThrottled] })
      } else {
        // Nothing that depends on the account happens before the answer: so it takes no time that could be told apart.
        if (later.pendingCount >= WAITING) throw serviceUnavailable()
        promised.set(request, work)
      }
      return { message: MESSAGES.resetLinkSent }
    },
  )
}

export default forgotPassword
