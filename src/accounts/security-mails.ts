import type { Kysely } from 'kysely'
import type { AccountEvent } from '#src/auth/events.ts'
import { mintSecurityLinkToken } from '#src/auth/security-link.ts'
import { SECURITY_MAILS, type SecurityMail, selectSecurityMail } from '#src/auth/security-mails.ts'
import { DAY_MS } from '#src/auth/time.ts'
import { tokenLink } from '#src/auth/token-link.ts'
import type { Config } from '#src/config/config.ts'
import { PANEL_PATH } from '#src/config/paths.ts'
import { publicUrl } from '#src/config/public-url.ts'
import { RESTORABLE_MS } from '#src/database/deleted-users.ts'
import { forgetNewLogin, noteKnownLogin } from '#src/database/known-logins.ts'
import type { Schema } from '#src/database/schema.ts'
import { storeSecurityLink } from '#src/database/security-links.ts'
import { type Addressee, findAddressee } from '#src/database/users.ts'
import type { AttemptCounts } from '#src/limits/attempt-counts.ts'
import { ACCOUNTS_PER_ADDRESS, hourlyThreshold } from '#src/limits/attempt-limit.ts'
import { loginNetwork } from '#src/limits/client-address.ts'
import type { EventContext, Notice } from '#src/mail/security-messages.ts'
import type { UserMailer } from '#src/mail/user-mailer.ts'
import type { Bytes, EpochMillis } from '#src/runtime/units.ts'
import type { Caller } from './caller.ts'
import { eventContextOf } from './event-context.ts'

/** How many wrong codes within an hour trigger a mail. */
const WRONG_CODES = 5

/**
 * The mails that are sent to unverified addresses, too. Others are not: a stranger may have registered with the
 * address.
 */
const SENT_TO_UNVERIFIED: ReadonlySet<SecurityMail> = new Set(['password-changed', 'second-factor-off'])

/** An event with what the mail shows of its request. */
interface ReportedEvent {
  recorded: AccountEvent
  context: EventContext
  program: string
  network: string
}

/** Notifies users by mail of security events of their accounts. */
export interface SecurityMails {
  /**
   * Returns the work that notifies a user of an event; null for none. Run it after the response, so that neither the
   * response time nor its status depends on the mail.
   */
  notificationOf(
    event: AccountEvent,
    caller: Pick<Caller, 'clientAddress' | 'userAgent' | 'identity'>,
  ): (() => Promise<void>) | null
}

/** Dependencies of {@link createSecurityMails}. */
export interface SecurityMailsDeps {
  config: Pick<Config, 'appUrl' | 'mailSecurityEvents' | 'twoFactorRateLimit'>
  kysely: Kysely<Schema>
  clock: () => EpochMillis
  random: (size: Bytes) => Buffer
  attemptCounts: AttemptCounts
  mail: Pick<UserMailer, 'notify'>
}

/** Creates the {@link SecurityMails} of a server. */
export function createSecurityMails(deps: SecurityMailsDeps): SecurityMails {
  const { config, kysely, attemptCounts, mail } = deps
  const isOn = (name: SecurityMail) => config.mailSecurityEvents.has(name)

  // At most as many codes as the attempt limit lets through.
  const wrongCodeThreshold = Math.min(WRONG_CODES, config.twoFactorRateLimit * ACCOUNTS_PER_ADDRESS)
  const isManyWrongCodes = hourlyThreshold(attemptCounts, {
    name: 'told-wrong-codes',
    count: wrongCodeThreshold,
  })

  const noticeOf = createNoticeBuilder(deps)
  const notifyUser = createUserNotifier(mail, noticeOf, wrongCodeThreshold)

  /**
   * Stores from where a user logged in, and notifies the user if the browser or the network is new, unless another
   * mail reports this login.
   */
  const notifyLogin = async (name: SecurityMail | null, reported: ReportedEvent): Promise<unknown> => {
    const { recorded, context, program, network } = reported
    const { userId, at } = recorded
    const login = { userId, browser: program, network, now: at }
    const noted = isOn('new-login') ? await noteKnownLogin(kysely, login) : null
    if (name === 'recovery-code-used' && isOn(name)) {
      const user = noted ?? (await findAddressee(kysely, userId, { evenIfDeleted: false }))
      return user && notifyUser(name, user, reported)
    }
    if (noted === null || name === null || !noted.isVerified) return null
    const { isNew } = noted
    if (!isNew.browser && !isNew.network) return null
    const isSent = await mail.notify('newLogin', noted, async text =>
      text(noted, await noticeOf(userId, context), isNew),
    )
    // An unsent notification is repeated at the next login from there.
    return isSent || forgetNewLogin(kysely, login, isNew)
  }

  const notify = async (name: SecurityMail | null, reported: ReportedEvent): Promise<void> => {
    const { event, userId } = reported.recorded
    if (event === 'login') return void (await notifyLogin(name, reported))
    if (name === null) return
    if (name === 'wrong-codes' && !(await isManyWrongCodes(String(userId)))) return
    const user = await findAddressee(kysely, userId, { evenIfDeleted: name === 'account-deleted' })
    if (user !== null) await notifyUser(name, user, reported)
  }

  return {
    notificationOf(recorded, caller) {
      const name = selectSecurityMail(recorded.event, recorded.details, caller.identity?.via ?? null)
      const isMailed = name !== null && isOn(name)
      const isNoted = recorded.event === 'login' && isOn('new-login')
      if (!isMailed && !isNoted) return null
      const context = eventContextOf(caller, recorded.at)
      const reported: ReportedEvent = {
        recorded,
        context: recorded.isByOther ? { ...context, from: null } : context,
        program: context.from?.program ?? '',
        network: loginNetwork(caller.clientAddress),
      }
      return () => notify(name, reported)
    },
  }
}

/** Creates the function that builds the content of a mail, with a new security link ("this was not me"). */
const createNoticeBuilder =
  ({ config, kysely, clock, random }: SecurityMailsDeps) =>
  async (userId: number, context: EventContext): Promise<Notice> => {
    const token = mintSecurityLinkToken(random)
    const link = { token: token.digest(), userId, happenedAt: context.at, now: clock() }
    await storeSecurityLink(kysely, link)
    const page = publicUrl(config.appUrl, `${PANEL_PATH}/not-me`)
    return { ...context, notMeUrl: tokenLink(page, token) }
  }

/**
 * Creates the function that mails a user about an event.
 *
 * @param wrongCodes the number of wrong codes that the mail reports
 */
const createUserNotifier =
  (
    mail: Pick<UserMailer, 'notify'>,
    noticeOf: (userId: number, context: EventContext) => Promise<Notice>,
    wrongCodes: number,
  ) =>
  async (name: SecurityMail, user: Addressee, { recorded, context }: ReportedEvent): Promise<unknown> => {
    if (!user.isVerified && !SENT_TO_UNVERIFIED.has(name)) return null
    const { event, details } = recorded
    const notice = () => noticeOf(user.id, context)
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
        const tries = { count: wrongCodes }
        return mail.notify('wrongCodes', user, async text => text(user, await notice(), tries))
      }
      case 'password-changed': {
        const change = { revokedTokens: details.revokedTokens === true }
        return mail.notify('passwordChanged', user, async text => text(user, await notice(), change))
      }
      case 'account-deleted': {
        const restorable = { days: RESTORABLE_MS / DAY_MS }
        return mail.notify('accountDeleted', user, text => text(user, context, restorable))
      }
      case 'new-login':
      case 'token-ending':
      case 'email-changed':
        return null
      default:
        return mail.notify(SECURITY_MAILS[name], user, async text => text(user, await notice()))
    }
  }
