import type { Kysely } from 'kysely'
import type { AccountEvent } from '#src/auth/events.ts'
import { mintSecurityLinkToken } from '#src/auth/security-link.ts'
import { mailAbout, SECURITY_MAILS, type SecurityMail } from '#src/auth/security-mails.ts'
import { DAY_MS } from '#src/auth/time.ts'
import { tokenLink } from '#src/auth/token-link.ts'
import type { Config } from '#src/config/config.ts'
import { PANEL_PATH } from '#src/config/paths.ts'
import { DELETED_MS } from '#src/database/deleted-users.ts'
import { forgetNewLogin, noteKnownLogin } from '#src/database/known-logins.ts'
import type { Schema } from '#src/database/schema.ts'
import { storeSecurityLink } from '#src/database/security-links.ts'
import { type Addressee, findAddressee } from '#src/database/users.ts'
import type { AttemptCounts } from '#src/limits/attempt-counts.ts'
import { ACCOUNTS_PER_ADDRESS, hourlyThreshold } from '#src/limits/attempt-limit.ts'
import { loginNetwork } from '#src/limits/client-address.ts'
import type { EventContext, Notice } from '#src/mail/security-messages.ts'
import type { UserMailer } from '#src/mail/user-mailer.ts'
import type { Caller } from './caller.ts'
import { eventContextOf } from './event-context.ts'

/** How many wrong codes within an hour make a mail. */
const WRONG_CODES = 5

/** What mails about accounts never verified tell of: somebody may have registered with the address of another. */
const TOLD_UNVERIFIED: ReadonlySet<SecurityMail> = new Set(['password-changed', 'second-factor-off'])

/** An event that is told, with what its request says of who did it. */
interface Told {
  recorded: AccountEvent
  happening: EventContext
  program: string
  network: string
}

/** Tells users by mail what happens to their accounts. */
export interface SecurityMails {
  /**
   * What has to be done to tell a user of an event; null for nothing. It is for after the answer, which so takes the
   * same time and succeeds whatever becomes of the mail.
   */
  about(
    event: AccountEvent,
    caller: Pick<Caller, 'clientAddress' | 'userAgent' | 'identity'>,
  ): (() => Promise<void>) | null
}

/** What {@link createSecurityMails} works with. */
export interface SecurityMailsDeps {
  config: Pick<Config, 'appUrl' | 'mailSecurityEvents' | 'twoFactorRateLimit'>
  kysely: Kysely<Schema>
  /** Milliseconds since the epoch. */
  clock: () => number
  /** That many random bytes. */
  random: (size: number) => Buffer
  attemptCounts: AttemptCounts
  mail: Pick<UserMailer, 'notify'>
}

/** Makes the {@link SecurityMails} of a server. */
export function createSecurityMails(deps: SecurityMailsDeps): SecurityMails {
  const { config, kysely, attemptCounts, mail } = deps
  const isOn = (name: SecurityMail) => config.mailSecurityEvents.has(name)

  // No more than are judged at all.
  const manyWrong = Math.min(WRONG_CODES, config.twoFactorRateLimit * ACCOUNTS_PER_ADDRESS)
  const isManyWrongCodes = hourlyThreshold(attemptCounts, { name: 'told-wrong-codes', count: manyWrong })

  const noticeOf = noticesWithLinks(deps)
  const tellUser = userNotices(mail, noticeOf, manyWrong)

  /** Notes from where a user logged in, and tells of it if that is new, unless another mail tells of this login. */
  const tellLogin = async (name: SecurityMail | null, told: Told): Promise<unknown> => {
    const { recorded, happening, program, network } = told
    const { userId, at } = recorded
    const login = { userId, browser: program, network, now: at }
    const noted = isOn('new-login') ? await noteKnownLogin(kysely, login) : null
    if (name === 'recovery-code-used' && isOn(name)) {
      const user = noted ?? (await findAddressee(kysely, userId, { evenIfDeleted: false }))
      return user && tellUser(name, user, told)
    }
    if (noted === null || name === null || !noted.isVerified) return null
    const { isNew } = noted
    if (!isNew.browser && !isNew.network) return null
    const isTold = await mail.notify('newLogin', noted, async text =>
      text(noted, await noticeOf(userId, happening), isNew),
    )
    // What its user was not told of is told when it comes again.
    return isTold || forgetNewLogin(kysely, login, isNew)
  }

  const tell = async (name: SecurityMail | null, told: Told): Promise<void> => {
    const { event, userId } = told.recorded
    if (event === 'login') return void (await tellLogin(name, told))
    if (name === null) return
    if (name === 'wrong-codes' && !(await isManyWrongCodes(String(userId)))) return
    const user = await findAddressee(kysely, userId, { evenIfDeleted: name === 'account-deleted' })
    if (user !== null) await tellUser(name, user, told)
  }

  return {
    about(recorded, caller) {
      const name = mailAbout(recorded.event, recorded.details, caller.identity?.via ?? null)
      const isTold = name !== null && isOn(name)
      const isNoted = recorded.event === 'login' && isOn('new-login')
      if (!isTold && !isNoted) return null
      const done = eventContextOf(caller, recorded.at)
      const told: Told = {
        recorded,
        happening: recorded.isByOther ? { ...done, from: null } : done,
        program: done.from?.program ?? '',
        network: loginNetwork(caller.clientAddress),
      }
      return () => tell(name, told)
    },
  }
}

/** Makes what a mail tells, with a new link by which the user says that it was somebody else. */
const noticesWithLinks =
  ({ config, kysely, clock, random }: SecurityMailsDeps) =>
  async (userId: number, happening: EventContext): Promise<Notice> => {
    const token = mintSecurityLinkToken(random)
    const link = { token: token.digest(), userId, happenedAt: happening.at, now: clock() }
    await storeSecurityLink(kysely, link)
    const page = new URL(`${PANEL_PATH}/not-me`, config.appUrl)
    return { ...happening, notMeUrl: tokenLink(page, token) }
  }

/**
 * Makes what sends a user the mail about an event.
 *
 * @param manyWrong how many wrong codes a mail tells of
 */
const userNotices =
  (
    mail: Pick<UserMailer, 'notify'>,
    noticeOf: (userId: number, happening: EventContext) => Promise<Notice>,
    manyWrong: number,
  ) =>
  async (name: SecurityMail, user: Addressee, { recorded, happening }: Told): Promise<unknown> => {
    if (!user.isVerified && !TOLD_UNVERIFIED.has(name)) return null
    const { event, details } = recorded
    const notice = () => noticeOf(user.id, happening)
    switch (name) {
      case 'token-created': {
        const token = { name: event === 'token created' ? String(details.name) : null }
        return mail.notify('tokenCreated', user, async text => text(user, await notice(), token))
      }
      case 'recovery-codes': {
        const change = { areReplaced: event === 'recovery codes replaced' }
        return mail.notify('recoveryCodesSeen', user, async text => text(user, await notice(), change))
      }
      case 'wrong-codes': {
        const tries = { count: manyWrong }
        return mail.notify('wrongCodes', user, async text => text(user, await notice(), tries))
      }
      case 'password-changed': {
        const change = { revokedTokens: details.revokedTokens === true }
        return mail.notify('passwordChanged', user, async text => text(user, await notice(), change))
      }
      case 'account-deleted': {
        const restorable = { days: DELETED_MS / DAY_MS }
        return mail.notify('accountDeleted', user, text => text(user, happening, restorable))
      }
      case 'new-login':
      case 'token-ending':
      case 'email-changed':
        return null
      default:
        return mail.notify(SECURITY_MAILS[name], user, async text => text(user, await notice()))
    }
  }
