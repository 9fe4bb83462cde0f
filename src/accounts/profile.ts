import { canonicalEmail } from '#src/auth/email.ts'
import type { SessionIdentity, User } from '#src/auth/identity.ts'
import type { Config } from '#src/config/config.ts'
import { dropPendingEmail, keepPendingEmail } from '#src/database/email-changes.ts'
import { UserExists } from '#src/database/user-keys.ts'
import { type Account, updateProfile } from '#src/database/users.ts'
import { canonicalName, enteredEmail, errorsByField } from '#src/input/account.ts'
import { accountKey } from '#src/limits/attempt-limit.ts'
import type { UserMailer } from '#src/mail/user-mailer.ts'
import { passwordConfirmationRequired, unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Attempts } from './attempts.ts'
import type { Caller } from './caller.ts'
import type { Email } from './email.ts'
import { eventContextOf } from './event-context.ts'
import type { Screening } from './screening.ts'

const { rules } = MESSAGES

const OWES_PASSWORD = { email: [MESSAGES.emailChangeNeedsPassword] }

/** A name and an address as they were entered; either may be missing. */
export interface EnteredProfile {
  name?: string | null
  email?: string | null
}

/** What users call themselves. */
export interface Profile {
  /**
   * Changes the name or the e-mail address of the session's user. A verified address is replaced once the link that is
   * mailed to the new one is opened; any other at once.
   *
   * @throws {HttpError} 422 for input that is not valid, and for a password that was not confirmed; 423 for the latter
   *   where the address would change at once; 429 when the limit is used up
   */
  update(caller: Caller, entered: EnteredProfile): Promise<void>
}

/** What {@link createProfile} works with. */
export interface ProfileDeps {
  config: Pick<Config, 'confirmEmailChange' | 'emailChange' | 'registerReveals'>
  /** Milliseconds since the epoch. */
  clock: () => number
  attempts: Attempts
  email: Pick<Email, 'sendNewEmail'>
  mail: UserMailer
  screening: Screening
}

/** Makes the {@link Profile} of a server. */
export function createProfile({ config, clock, attempts, email, mail, screening }: ProfileDeps): Profile {
  /** Whether a user's new address waits until its mail's link is opened. */
  const waits = ({ emailVerifiedAt }: User) => config.emailChange === 'confirmed' && emailVerifiedAt !== null

  /** @throws {HttpError} 422 for what cannot be the user's */
  const requireValid = async (caller: Caller, { name, email, isNewName }: WantedProfile, user: User) => {
    const found = await screening.profileErrors(
      { name: isNewName ? name : undefined, email: email ?? undefined },
      user,
    )
    const needsPassword = email !== null && waits(user) && caller.owesPassword()
    // It would change at once, and tell by that whether it was free.
    const needsVerification = email !== null && !waits(user) && !config.registerReveals
    const errors = errorsByField({
      name: found.name,
      email: [
        ...found.email,
        ...(needsPassword ? OWES_PASSWORD.email : []),
        ...(needsVerification ? [MESSAGES.emailChangeNeedsVerification] : []),
      ],
    })
    if (errors !== null) throw unprocessable(errors)
  }

  /** Stores what is wanted, of which an address may have to wait. */
  const store = (caller: Caller, { name, email, entersEmail }: WantedProfile): Promise<Stored> =>
    caller
      .authorized(async (transaction, identity: SessionIdentity) => {
        const isPending = email !== null && waits(identity.user)
        if (isPending && caller.owesPassword()) throw unprocessable(OWES_PASSWORD)
        if (email !== null && !isPending && config.confirmEmailChange && caller.owesPassword()) {
          throw passwordConfirmationRequired()
        }
        const now = clock()
        const change = { name, email: isPending ? null : email }
        const before = await updateProfile(transaction, identity.user.id, change, now)
        const { hasSecondFactor: hadSecondFactor } = identity.user
        if (isPending) await keepPendingEmail(transaction, before.id, { email, hadSecondFactor, now })
        // Entering the present address, or one that counts at once, takes back what was asked for before.
        else if (entersEmail) await dropPendingEmail(transaction, before.id)
        return { before, isPending, wasVerified: identity.user.emailVerifiedAt !== null }
      })
      .catch(error => {
        if (error instanceof UserExists) throw unprocessable({ [error.field]: [rules.unique(error.field)] })
        throw error
      })

  /** Sends a new address its link, and tells the old one unless it stays for now. */
  const mailAbout = async (
    caller: Caller,
    to: Account,
    { before, isPending, wasVerified }: Stored,
  ): Promise<void> => {
    if (isPending) {
      caller.record('email change asked for', { userId: before.id })
      return email.sendNewEmail(caller, to)
    }
    await mail.sendVerification(to)
    // An address that nobody has shown to be theirs may be a stranger's.
    if (wasVerified) {
      await mail.notify('emailChanged', before, text => text(before, eventContextOf(caller, clock())))
    }
  }

  return {
    async update(caller, entered) {
      const { user } = caller.sessionCaller()
      const wanted = wantedProfile(entered, user)
      const { name, email } = wanted
      // Whoever asks for addresses learns which are taken, as by registering.
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
      if (email !== null) await mailAbout(caller, { id: before.id, name: name ?? before.name, email }, stored)
    },
  }
}

/** What a user wants to change: null for what stays. */
interface WantedProfile {
  name: string | null
  /** Whether a name was entered that is not the present one; it is null when it shows nothing. */
  isNewName: boolean
  email: string | null
  /** Whether an address was entered, be it the present one. */
  entersEmail: boolean
}

/** What was stored: whose it was before, and whether the address waits. */
interface Stored {
  before: Account
  isPending: boolean
  wasVerified: boolean
}

/** @throws {HttpError} 422 when neither a name nor an address was entered */
function wantedProfile({ name, email }: EnteredProfile, user: User): WantedProfile {
  const isNamed = typeof name === 'string'
  const enteredName = canonicalName(name)
  const entered = enteredEmail(email)
  if (!isNamed && entered === null) {
    throw unprocessable({
      name: [rules.requiredWithout('name', 'email')],
      email: [rules.requiredWithout('email', 'name')],
    })
  }
  // Names from before there were rules for them stay, and so do those that are like another's.
  const isSameName = name === user.name || enteredName === user.name.normalize('NFC')
  // Rows from elsewhere may hold another form of the same address.
  const isSameEmail = email === user.email || entered === canonicalEmail(user.email)
  return {
    name: isSameName ? null : enteredName,
    isNewName: isNamed && !isSameName,
    email: isSameEmail ? null : entered,
    entersEmail: entered !== null,
  }
}
