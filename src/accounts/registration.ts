import type { Kysely } from 'kysely'
import { mintResetToken } from '#src/auth/reset-token.ts'
import { tokenLink } from '#src/auth/token-link.ts'
import type { Config } from '#src/config/config.ts'
import { storePendingRegistration } from '#src/database/registrations.ts'
import type { Schema } from '#src/database/schema.ts'
import { UserExists } from '#src/database/user-keys.ts'
import { insertUser } from '#src/database/users.ts'
import { canonicalizeName, errorsByField, parseEmail } from '#src/input/account.ts'
import { isBlank } from '#src/input/values.ts'
import { accountKey } from '#src/limits/attempt-limit.ts'
import type { UserMailer } from '#src/mail/user-mailer.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Bytes, EpochMillis } from '#src/runtime/units.ts'
import type { Attempts } from './attempts.ts'
import type { BrowserCaller } from './browser-caller.ts'
import type { PasswordCredentials } from './credentials.ts'
import type { Login } from './login.ts'
import { notifyAddressOwner } from './notify-address-owner.ts'
import type { Screening } from './screening.ts'

type Entered = string | null | undefined

const { rules } = MESSAGES

/** The input of a registration. */
export interface EnteredRegistration {
  name: Entered
  email: Entered
  password: Entered
  repeated: Entered
  /** Whether the terms were accepted: any value that is not blank, false included. */
  terms: unknown
  remember: boolean
}

export interface Registration {
  /**
   * Creates an account, logs its user in, and mails a link that verifies the address. With REGISTER_REVEALS=false the
   * mail carries a link to the page where the password is chosen, or notifies the owner of a taken address; the
   * caller is not logged in.
   *
   * @throws {HttpError} 422 for input that is not valid, 429 when a limit is used up
   */
  register(caller: BrowserCaller, entered: EnteredRegistration): Promise<void>
}

/** Dependencies of {@link createRegistration}. */
export interface RegistrationDeps {
  config: Pick<Config, 'registerReveals' | 'resetPasswordUrl'>
  kysely: Kysely<Schema>
  clock: () => EpochMillis
  random: (size: Bytes) => Buffer
  attempts: Attempts
  credentials: PasswordCredentials
  login: Login
  mail: UserMailer
  screening: Screening
}

/** Creates the {@link Registration} of a server. */
export function createRegistration({
  config,
  kysely,
  clock,
  random,
  attempts,
  credentials,
  login,
  mail,
  screening,
}: RegistrationDeps): Registration {
  /**
   * Validates the input.
   *
   * @throws {HttpError} 422 for input that is not valid
   */
  const validUser = async ({ password, repeated, terms, ...entered }: EnteredRegistration) => {
    const name = canonicalizeName(entered.name)
    const email = parseEmail(entered.email)
    const errors = errorsByField({
      ...(await screening.profileErrors({ name, email }, null)),
      password: await screening.passwords.errors(password, repeated, { name, email }),
      terms: isBlank(terms) ? [rules.required('terms')] : [],
    })
    if (errors !== null) throw unprocessable(errors)
    return { name: name as string, email: email as string, password: password as string }
  }

  /**
   * Stores a registration until the link of its mail is opened, or notifies the owner of a taken address. The entered
   * password is dropped and chosen again then: the address may belong to another person, who must not get an account
   * whose password a stranger knows. The name is not reserved before that, because a reserved name would reveal that
   * the address was free.
   */
  const registerByMail = async (wanted: { name: string; email: string }) => {
    if (await notifyAddressOwner({ kysely, mail, screening }, wanted.email, null)) return
    if (!(await mail.mayReceive('registration', wanted.email))) return
    const token = mintResetToken(random)
    await storePendingRegistration(kysely, { ...wanted, digest: token.digest(), now: clock() })
    await mail.sendRegistration(wanted, tokenLink(config.resetPasswordUrl, token))
  }

  return {
    async register(caller, entered) {
      await attempts.count(caller, 'register', accountKey(parseEmail(entered.email) ?? ''))
      const { password: plain, ...wanted } = await validUser(entered)
      await attempts.countRegistration(caller)
      if (!config.registerReveals) {
        // All work that depends on the address runs after the response, so that its time reveals nothing.
        return caller.afterResponse(() => registerByMail(wanted), 'a registration failed')
      }
      const user = { ...wanted, password: await credentials.hash(caller, plain) }
      const userId = await insertUser(kysely, { ...user, verified: false, now: clock() }).catch(error => {
        if (error instanceof UserExists) throw unprocessable({ [error.field]: [rules.unique(error.field)] })
        throw error
      })
      caller.record('registered', { userId })
      await mail.sendVerification({ ...user, id: userId })
      await login.logInNewUser(caller, { ...user, userId }, { remember: entered.remember })
    },
  }
}
