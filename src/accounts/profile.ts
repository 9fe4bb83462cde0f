import { canonicalizeEmail } from '#src/auth/email.ts'
import type { SessionIdentity, User } from '#src/auth/identity.ts'
import type { Config } from '#src/config/config.ts'
import { deletePendingEmail, storePendingEmail } from '#src/database/email-changes.ts'
import { UserExists } from '#src/database/user-keys.ts'
import { type Account, updateProfile } from '#src/database/users.ts'
import { canonicalizeName, errorsByField, parseEmail } from '#src/input/account.ts'
import { accountKey } from '#src/limits/attempt-limit.ts'
import type { UserMailer } from '#src/mail/user-mailer.ts'
import { passwordConfirmationRequired, unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Attempts } from './attempts.ts'
import type { Caller } from './caller.ts'
import type { Email } from './email.ts'
import { eventContextOf } from './event-context.ts'
import type { Screening } from './screening.ts'

const { rules } = MESSAGES

const PASSWORD_REQUIRED = { email: [MESSAGES.emailChangeNeedsPassword] }

/** Name and e-mail address as entered. Either may be missing. */
export interface EnteredProfile {
  name?: string | null
  email?: string | null
}

export interface Profile {
  /**
   * Changes the name or the e-mail address of the session's user. A verified address is replaced when the link mailed
   * to the new one is opened; any other address is replaced at once.
   *
   * @throws {HttpError} 422 for input that is not valid and for an unconfirmed password; 423 for an unconfirmed
   *   password when the address would change at once; 429 when the limit is used up
   */
  update(caller: Caller, entered: EnteredProfile): Promise<void>
}

/** Dependencies of {@link createProfile}. */
export interface ProfileDeps {
  config: Pick<Config, 'confirmEmailChange' | 'emailChange' | 'registerReveals'>
  clock: () => EpochMillis
  attempts: Attempts
  email: Pick<Email, 'sendNewEmail'>
  mail: UserMailer
  screening: Screening
}

/** Creates the {@link Profile} of a server. */
export function createProfile({ config, clock, attempts, email, mail, screening }: ProfileDeps): Profile {
  /** Whether a user's new address stays pending until its link is opened. */
  const needsLink = ({ emailVerifiedAt }: User) =>
    config.emailChange === 'confirmed' && emailVerifiedAt !== null

  /** @throws {HttpError} 422 for input that is not valid */
  const requireValid = async (caller: Caller, { name, email, isNewName }: WantedProfile, user: User) => {
    const profileErrors = await screening.profileErrors(
      { name: isNewName ? name : undefined, email: email ?? undefined },
      user,
    )
    const needsPassword = email !== null && needsLink(user) && caller.owesPassword()
    // An address that is replaced at once would reveal whether it was free.
    const needsVerification = email !== null && !needsLink(user) && !config.registerReveals
    const errors = errorsByField({
      name: profileErrors.name,
      email: [
        ...profileErrors.email,
        ...(needsPassword ? PASSWORD_REQUIRED.email : []),
        ...(needsVerification ? [MESSAGES.emailChangeNeedsVerification] : []),
      ],
    })
    if (errors !== null) throw unprocessable(errors)
  }

  /** Stores the changes, a new address as pending if it needs confirmation. */
  const store = (caller: Caller, { name, email, entersEmail }: WantedProfile): Promise<Stored> =>
    caller
      .authorized(async (transaction, identity: SessionIdentity) => {
        const isPending = email !== null && needsLink(identity.user)
        if (isPending && caller.owesPassword()) throw unprocessable(PASSWORD_REQUIRED)
        if (email !== null && !isPending && config.confirmEmailChange && caller.owesPassword()) {
          throw passwordConfirmationRequired()
        }
        const now = clock()
        const change = { name, email: isPending ? null : email }
        const before = await updateProfile(transaction, identity.user.id, change, now)
        const { hasSecondFactor: hadSecondFactor } = identity.user
        if (isPending) await storePendingEmail(transaction, before.id, { email, hadSecondFactor, now })
        // Entering the current address, or one that is replaced at once, cancels a pending change.
        else if (entersEmail) await deletePendingEmail(transaction, before.id)
        return { before, isPending, wasVerified: identity.user.emailVerifiedAt !== null }
      })
      .catch(error => {
        if (error instanceof UserExists) throw unprocessable({ [error.field]: [rules.unique(error.field)] })
        throw error
      })

  /** Mails the new address its link, and notifies the old one when it was replaced. */
  const sendMails = async (
    caller: Caller,
    to: Account,
    { before, isPending, wasVerified }: Stored,
  ): Promise<void> => {
    if (isPending) {
      caller.record('email change asked for', { userId: before.id })
      return email.sendNewEmail(caller, to)
    }
    await mail.sendVerification(to)
    // An unverified address may belong to a stranger.
    if (wasVerified) {
      await mail.notify('emailChanged', before, text => text(before, eventContextOf(caller, clock())))
    }
  }

  return {
    async update(caller, entered) {
      const { user } = caller.sessionCaller()
      const wanted = wantedProfile(entered, user)
      const { name, email } = wanted
      // Entering addresses reveals which are taken, as registering does.
      if (email !== null) await attempts.count(caller, 'register', accountKey(email))
      await requireValid(caller, wanted, user)
      const stored = await store(caller, wanted)
      const { before, isPending } = stored
      if (name !== null || !isPending) {
        caller.record('profile changed', {
          userId: before.id,
          name: name !== null && name !== before.name,
          email: email !== null && !isPending,
        })
      }
      if (email !== null) await sendMails(caller, { id: before.id, name: name ?? before.name, email }, stored)
    },
  }
}

/** The changes that a user entered: null for no change. */
interface WantedProfile {
  name: string | null
  /** Whether a name other than the current one was entered. `name` is null when it has no visible character. */
  isNewName: boolean
  email: string | null
  /** Whether an address was entered, the current one included. */
  entersEmail: boolean
}

/** The result of a write: the account before it, and whether the new address is pending. */
interface Stored {
  before: Account
  isPending: boolean
  wasVerified: boolean
}

/** @throws {HttpError} 422 when neither a name nor an address was entered */
function wantedProfile({ name, email }: EnteredProfile, user: User): WantedProfile {
  const isNamed = typeof name === 'string'
  const enteredName = canonicalizeName(name)
  const entered = parseEmail(email)
  if (!isNamed && entered === null) {
    throw unprocessable({
      name: [rules.requiredWithout('name', 'email')],
      email: [rules.requiredWithout('email', 'name')],
    })
  }
  // An unchanged name is not validated: it may predate the rules, or resemble another user's.
  const isSameName = name === user.name || enteredName === user.name.normalize('NFC')
  // Rows that another program wrote may hold another form of the same address.
  const isSameEmail = email === user.email || entered === canonicalizeEmail(user.email)
  return {
    name: isSameName ? null : enteredName,
    isNewName: isNamed && !isSameName,
    email: isSameEmail ? null : entered,
    entersEmail: entered !== null,
  }
}
