import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { AccountEvent } from '#src/auth/events.ts'
import { mintSecurityLinkToken } from '#src/auth/security-link.ts'
import { mailAbout, type SecurityMail } from '#src/auth/security-mails.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '#src/auth/time.ts'
import { tokenLink } from '#src/auth/token-link.ts'
import { PANEL_PATH } from '#src/config/paths.ts'
import { DELETED_MS } from '#src/database/deleted-users.ts'
import { forgetNewLogin, noteKnownLogin } from '#src/database/known-logins.ts'
import { storeSecurityLink } from '#src/database/security-links.ts'
import { claimReminders, findUsersToRemind } from '#src/database/token-reminders.ts'
import { type Addressee, findAddressee } from '#src/database/users.ts'
import { happeningOf } from '#src/http/http.ts'
import { ACCOUNTS_PER_ADDRESS, hourlyThreshold } from '#src/limits/attempt-limit.ts'
import { loginNetwork } from '#src/limits/client-address.ts'
import type { Happening, Notice } from '#src/mail/security-messages.ts'
import { background } from '#src/runtime/background.ts'

/** Events that wait to be told. */
const WAITING = 1_000

/** How many wrong codes within an hour make a mail. */
const WRONG_CODES = 5

/** When tokens that end soon are first looked for, and then again, in milliseconds. */
const FIRST_LOOK_MS = MINUTE_MS
const LOOK_MS = HOUR_MS

/** How many users are reminded at once, and when the next ones are, so that mails are not dropped. */
const REMINDED_AT_ONCE = 100
const NEXT_LOOK_MS = MINUTE_MS

/** What mails about accounts never verified tell of: somebody may have registered with the address of another. */
const TOLD_UNVERIFIED: ReadonlySet<SecurityMail> = new Set(['password-changed', 'second-factor-off'])

/** An event that is told, with what its request says of who did it. */
interface Told {
  recorded: AccountEvent
  happening: Happening
  program: string
  network: string
}

/**
 * Tells users by mail what happens to their accounts: `request.record()` is where all of it passes. It is done after the
 * answer, which therefore takes the same time and succeeds whatever becomes of the mail. Once an hour users are
 * reminded of tokens that end soon.
 */
export default fp(
  async app => {
    const { config, clock, random, log, attemptCounts } = app
    const { kysely } = app.database
    const isOn = (name: SecurityMail) => config.mailSecurityEvents.has(name)

    // No more than are judged at all.
    const manyWrong = Math.min(WRONG_CODES, config.twoFactorRateLimit * ACCOUNTS_PER_ADDRESS)
    const isManyWrongCodes = hourlyThreshold(attemptCounts, { name: 'told-wrong-codes', count: manyWrong })

    /** What a mail tells, with a new link by which the user says that it was somebody else. */
    const noticeOf = async (userId: number, happening: Happening): Promise<Notice> => {
      const token = mintSecurityLinkToken(random)
      const link = { token: token.digest(), userId, happenedAt: happening.at, now: clock() }
      await storeSecurityLink(kysely, link)
      const page = new URL(`${PANEL_PATH}/not-me`, config.appUrl)
      return { ...happening, notMeUrl: tokenLink(page, token) }
    }

    const tellUser = async (
      name: SecurityMail,
      user: Addressee,
      { recorded, happening }: Told,
    ): Promise<unknown> => {
      if (!user.isVerified && !TOLD_UNVERIFIED.has(name)) return null
      const { event, details } = recorded
      const notice = () => noticeOf(user.id, happening)
      switch (name) {
        case 'token-created': {
          const token = { name: event === 'token created' ? String(details.name) : null }
          return app.mail.notify('tokenCreated', user, async text => text(user, await notice(), token))
        }
        case 'second-factor-on':
          return app.mail.notify('secondFactorConfirmed', user, async text => text(user, await notice()))
        case 'second-factor-off':
          return app.mail.notify('secondFactorRemoved', user, async text => text(user, await notice()))
        case 'recovery-code-used':
          return app.mail.notify('recoveryCodeUsed', user, async text => text(user, await notice()))
        case 'recovery-codes': {
          const change = { areReplaced: event === 'recovery codes replaced' }
          return app.mail.notify('recoveryCodesSeen', user, async text => text(user, await notice(), change))
        }
        case 'wrong-codes': {
          const tries = { count: manyWrong }
          return app.mail.notify('wrongCodes', user, async text => text(user, await notice(), tries))
        }
        case 'password-changed': {
          const change = { revokedTokens: details.revokedTokens === true }
          return app.mail.notify('passwordChanged', user, async text => text(user, await notice(), change))
        }
        case 'account-deleted': {
          const restorable = { days: DELETED_MS / DAY_MS }
          return app.mail.notify('accountDeleted', user, text => text(user, happening, restorable))
        }
        default:
          return null
      }
    }

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
      const isTold = await app.mail.notify('newLogin', noted, async text =>
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

    const later = background(WAITING)
    const promised = new WeakMap<FastifyRequest, (() => Promise<void>)[]>()
    const begin = (request: FastifyRequest, work: () => Promise<void>) => {
      if (later.isFull) {
        request.log.warn('a mail about an account was not sent: too many wait to be written')
        return
      }
      later.run(work).catch(error => {
        if (!app.noteOutage(error)) {
          request.log.error({ err: error }, 'a mail about an account could not be sent')
        }
      })
    }
    app.onRequestEnd(request => {
      for (const work of promised.get(request) ?? []) begin(request, work)
    })
    app.events.onRecorded((recorded, request) => {
      const name = mailAbout(recorded.event, recorded.details, request.identity?.via ?? null)
      const isTold = name !== null && isOn(name)
      const isNoted = recorded.event === 'login' && isOn('new-login')
      if (!isTold && !isNoted) return
      const done = happeningOf(request, recorded.at)
      const told: Told = {
        recorded,
        happening: recorded.isByOther ? { ...done, from: null } : done,
        program: done.from?.program ?? '',
        network: loginNetwork(request.clientAddress),
      }
      const work = () => tell(name, told)
      if (request.isOver) begin(request, work)
      else promised.set(request, [...(promised.get(request) ?? []), work])
    })

    /**
     * Reminds some users of tokens that end soon.
     *
     * @param after the id of the user behind whom to begin
     * @returns the id of the last one; null when there are no more
     */
    const remind = async (after: number): Promise<number | null> => {
      const { tokenableTypes: types, tokenExpiration } = config
      const reminding = { types, tokenExpiration, now: clock() }
      const ids = await findUsersToRemind(kysely, reminding, { after, most: REMINDED_AT_ONCE })
      const known = await Promise.all(ids.map(id => app.identities.user(id)))
      // Those who are banned from everything cannot replace a token.
      const reachable = known.flatMap(one => (one !== null && one.ban === null ? [one.user.id] : []))
      const reminders = reachable.length === 0 ? [] : await claimReminders(kysely, reminding, reachable)
      const page = { tokensUrl: new URL(PANEL_PATH, config.appUrl).href }
      for (const reminder of reminders) {
        await app.mail
          .notify('tokensEnding', reminder, text => text(reminder, reminder.tokens, page))
          .catch(failed)
      }
      return ids.length < REMINDED_AT_ONCE ? null : (ids.at(-1) ?? null)
    }
    const failed = (error: unknown) => {
      if (!app.noteOutage(error)) log.error({ err: error }, 'users could not be reminded of tokens that end')
      return null
    }

    let isClosed = false
    let cancel = () => {}
    const planLook = (ms: number, after: number) => {
      if (isClosed) return
      cancel = app.schedule(ms, () => {
        void later
          .run(() => remind(after))
          .catch(failed)
          .then(last => planLook(last === null ? LOOK_MS : NEXT_LOOK_MS, last ?? 0))
      })
    }
    if (isOn('token-ending')) app.addHook('onReady', async () => planLook(FIRST_LOOK_MS, 0))

    app.addHook('onClose', async () => {
      isClosed = true
      cancel()
      await later.close()
    })
  },
  {
    name: 'security-mails',
    dependencies: ['client-address', 'counters', 'database', 'events', 'mail', 'request-end'],
  },
)
