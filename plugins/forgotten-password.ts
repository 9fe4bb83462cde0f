import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { unprocessable } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { isEmail } from '#src/auth/email.ts'
import { hashResetToken, mintResetToken, ResetToken } from '#src/auth/reset-token.ts'
import { randomAlphanumerics } from '#src/auth/secret.ts'
import { tokenLink } from '#src/auth/token-link.ts'
import { findResetToken, keepResetToken } from '#src/database/password-resets.ts'
import { resetPassword } from '#src/database/passwords.ts'
import { completeRegistration, findRegistration } from '#src/database/registrations.ts'
import { UserExists } from '#src/database/user-keys.ts'
import { type Account, findUserByEmail } from '#src/database/users.ts'
import { emailErrors, enteredEmail, errorsByField, MAX_NAME } from '#src/input/account.ts'
import { accountKey } from '#src/limits/attempt-limit.ts'

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
     * browsers. With that of a registration it makes the account.
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

/** Makes a name that nobody has of one that somebody has: its beginning, and a random end. */
const withSuffix = (random: (size: number) => Buffer) => (name: string) =>
  `${[...name].slice(0, MAX_NAME - 9).join('')}-${randomAlphanumerics(8, random)}`

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
      await app.mail.sendPasswordReset(user, tokenLink(page, token))
      return true
    }

    app.decorateRequest(
      'askForPasswordReset',
      async function (this: FastifyRequest, reply: FastifyReply, { email: entered, page, reveals }) {
        const email = enteredEmail(entered)
        await app.attempts.count(this, reply, 'forgot_password', accountKey(email ?? ''))
        if (email === null || !isEmail(email)) throw unprocessable({ email: emailErrors(email) })

        const work = async (): Promise<'sent' | 'unknown' | 'throttled'> => {
          // As it was entered: of two accounts with forms of one address, each has its own.
          const user = await findUserByEmail(kysely, entered as string)
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
          this.afterAnswer(work, 'a link to a new password could not be sent')
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
          password: await app.screening.passwords.errors(password, repeated, { email }),
        })
        if (errors !== null) throw unprocessable(errors)

        const user = await findUserByEmail(kysely, entered as string)
        const stored = user && (await findResetToken(kysely, user.email, clock()))
        // Without a user the token may be that of a registration.
        const key = { email: email as string, digest: new ResetToken(token as string).digest() }
        const registration = user === null ? await findRegistration(kysely, key, clock()) : null
        if (user === null && registration === null && config.revealUnknownEmail)
          throw unprocessable({ email: [MESSAGES.unknownEmail] })
        const isRight = await app.verifyResetToken(this, token as string, stored)
        const wrong = unprocessable({ email: [MESSAGES.wrongResetToken] })
        if (!isRight && registration === null) throw wrong
        // Compared with the user's name only now: without the token it would tell whether there is one with that name.
        const owner = user ?? { email, name: registration?.name }
        const ofOwner = errorsByField({
          password: app.screening.passwords.ownerErrors(password as string, owner),
        })
        if (ofOwner !== null) throw unprocessable(ofOwner)

        const hash = await app.hashPassword(this, password as string)
        if (user === null || stored === null) {
          const userId = await completeRegistration(kysely, {
            ...key,
            hash,
            nameElse: withSuffix(random),
            types: config.tokenableTypes,
            address: this.clientAddress.key,
            now: clock(),
          }).catch(error => {
            throw error instanceof UserExists ? wrong : error
          })
          if (userId === null) throw wrong
          this.record('registered', { userId })
          return
        }
        const done = await resetPassword(kysely, user, {
          token: stored,
          hash,
          revokeTokens,
          types: config.tokenableTypes,
          address: this.clientAddress.key,
          now: clock(),
        })
        if (done === null) throw wrong
        this.record('password reset', { userId: user.id, ...done })
      },
    )
  },
  {
    name: 'forgotten-password',
    dependencies: [
      'after-answer',
      'attempts',
      'client-address',
      'credentials',
      'events',
      'mail',
      'screening',
    ],
  },
)
