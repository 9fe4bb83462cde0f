import type { Kysely } from 'kysely'
import { mintResetToken } from '#src/auth/reset-token.ts'
import { tokenLink } from '#src/auth/token-link.ts'
import type { Config } from '#src/config/config.ts'
import { keepRegistration } from '#src/database/registrations.ts'
import type { Schema } from '#src/database/schema.ts'
import { UserExists } from '#src/database/user-keys.ts'
import { insertUser } from '#src/database/users.ts'
import { canonicalName, enteredEmail, errorsByField } from '#src/input/account.ts'
import { accountKey } from '#src/limits/attempt-limit.ts'
import type { UserMailer } from '#src/mail/user-mailer.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Attempts } from './attempts.ts'
import type { BrowserCaller } from './browser-caller.ts'
import type { PasswordCredentials } from './credentials.ts'
import type { Login } from './login.ts'
import { notifyAddressOwner } from './notify-address-owner.ts'
import type { Screening } from './screening.ts'

type Entered = string | null | undefined

const { rules } = MESSAGES

/** What somebody enters who registers. */
export interface EnteredRegistration {
  name: Entered
  email: Entered
  password: Entered
  repeated: Entered
  /** Whether the terms were read: whatever is neither null nor missing. */
  terms: unknown
  remember: boolean
}

/** The way to an account of one's own. */
export interface Registration {
  /**
   * Makes an account, logs its user in, and sends a link that verifies the address. With REGISTER_REVEALS=false a mail
   * brings a link to the page on which the password is chosen, or tells the owner of the address; nobody is logged in.
   *
   * @throws {HttpError} 422 for input that is not valid, 429 when a limit is used up
   */
  register(caller: BrowserCaller, entered: EnteredRegistration): Promise<void>
}

/** What {@link createRegistration} works with. */
export interface RegistrationDeps {
  config: Pick<Config, 'registerReveals' | 'resetPasswordUrl'>
  kysely: Kysely<Schema>
  /** Milliseconds since the epoch. */
  clock: () => number
  /** That many random bytes. */
  random: (size: number) => Buffer
  attempts: Attempts
  credentials: PasswordCredentials
  login: Login
  mail: UserMailer
  screening: Screening
}

/** Makes the {@link Registration} of a server. */
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
  /** What was entered, if it can be a user's. @throws {HttpError} 422 otherwise */
  const validUser = async ({ password, repeated, terms, ...entered }: EnteredRegistration) => {
    const name = canonicalName(entered.name)
    const email = enteredEmail(entered.email)
    const errors = errorsByField({
      ...(await screening.profileErrors({ name, email }, null)),
      password: await screening.passwords.errors(password, repeated, { name, email }),
      terms: terms === undefined || terms === null ? [rules.required('terms')] : [],
    })
    if (errors !== null) throw unprocessable(errors)
    return { name: name as string, email: email as string, password: password as string }
  }

  /**
   * Keeps a registration until its mail's link is opened, or tells the owner of the address. The password that was
   * entered is no secret of the owner's if a stranger has registered, and so another one is chosen then. Neither does the
   * name become anybody's before: whether it is free afterwards would tell whether the address was.
   */
  const registerUnseen = async (wanted: { name: string; email: string }) => {
    if (await notifyAddressOwner({ kysely, mail, screening }, wanted.email, null)) return
    if (!(await mail.mayReceive('registration', wanted.email))) return
    const token = mintResetToken(random)
    await keepRegistration(kysely, { ...wanted, digest: token.digest(), now: clock() })
    await mail.sendRegistration(wanted, tokenLink(config.resetPasswordUrl, token))
  }

  return {
    async register(caller, entered) {
      await attempts.count(caller, 'register', accountKey(enteredEmail(entered.email) ?? ''))
      const { password: plain, ...wanted } = await validUser(entered)
      await attempts.countRegistration(caller)
      if (!config.registerReveals) {
        // Nothing that depends on the address happens before the answer, which comes after the same time in any case.
        return caller.afterAnswer(() => registerUnseen(wanted), 'somebody could not be registered')
      }
      const user = { ...wanted, password: await credentials.hash(caller, plain) }
      const userId = await insertUser(kysely, { ...user, verified: false, now: clock() }).catch(error => {
        if (error instanceof UserExists) throw unprocessable({ [error.field]: [rules.unique(error.field)] })
        throw error
      })
      caller.record('registered', { userId })
      await mail.sendVerification({ ...user, id: userId })
      await login.enterAsNew(caller, { ...user, userId }, { remember: entered.remember })
    },
  }
}
