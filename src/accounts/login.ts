import type { Kysely, Transaction } from 'kysely'
import { constantTimeEqual } from '#src/auth/secret.ts'
import { isPending, passwordStamp, type Session } from '#src/auth/session.ts'
import type { Config } from '#src/config/config.ts'
import type { Identities } from '#src/database/identities.ts'
import { keyedMutex } from '#src/database/keyed-mutex.ts'
import {
  type LoginBrowser,
  storeChallenge,
  storeLogin,
  storeLogout,
  withLoginLock,
} from '#src/database/logins.ts'
import type { Schema } from '#src/database/schema.ts'
import { lockChallenge } from '#src/database/sessions.ts'
import { type Credentials, verifyEmailByHash } from '#src/database/users.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Attempts } from './attempts.ts'
import type { BrowserCaller, DeviceTokens, SessionReplacement } from './browser-caller.ts'
import type { PasswordCredentials } from './credentials.ts'
import { requireNotBanned, wrongCredentials } from './login-check.ts'
import type { OpenedLinks } from './opened-links.ts'
import type { SecondFactor } from './second-factor.ts'
import { proofName, type SecondFactorProof, wrongProof } from './second-factor-proof.ts'

/**
 * All ways to log in except remembered devices. Each verifies the credentials first and checks them again in the
 * transaction that stores the session, under the user's lock: see `withLoginLock()` in src/database/logins.ts.
 */
export interface Login {
  /** Logs in a user who has just registered. */
  logInNewUser(
    caller: BrowserCaller,
    user: Pick<Credentials, 'userId' | 'password'>,
    options: { remember: boolean },
  ): Promise<void>
  /**
   * Logs in by password, or starts a second-factor challenge in the session.
   *
   * @returns what is still required
   * @throws {HttpError} 422 for a wrong password and for a user who is banned from everything, and as {@link
   *   PasswordCredentials.check}
   */
  logIn(
    caller: BrowserCaller,
    entered: { email: string; password: string; remember: boolean },
  ): Promise<'nothing' | 'second factor'>
  /** Whether the session has a pending second-factor challenge. */
  isChallenged(caller: Pick<BrowserCaller, 'session'>): boolean
  /**
   * Completes the session's second-factor challenge by an authenticator code or a recovery code.
   *
   * @throws {HttpError} 422 for a wrong code and without a pending challenge, 429 when a limit is used up
   */
  completeChallenge(caller: BrowserCaller, proof: SecondFactorProof): Promise<void>
  /** Ends the caller's session and forgets the device. */
  logOut(caller: BrowserCaller): Promise<void>
}

/** Dependencies of {@link createLogin}. */
export interface LoginDeps {
  config: Pick<Config, 'tokenableTypes'>
  kysely: Kysely<Schema>
  clock: () => EpochMillis
  sessions: SessionReplacement
  devices: DeviceTokens
  openedLinks: Pick<OpenedLinks, 'hashFor' | 'forget'>
  identities: Pick<Identities, 'within'>
  attempts: Attempts
  credentials: PasswordCredentials
  secondFactor: Pick<SecondFactor, 'accepts'>
}

/** Decides under lock: the credentials of the user to log in, a session with a challenge, or a refusal. */
type Decide<Refusal extends string> = (
  transaction: Transaction<Schema>,
  credentials: Credentials | null,
  browser: LoginBrowser,
) => Promise<Credentials | Session | Refusal>

/** Creates the {@link Login} of a server. */
export function createLogin(deps: LoginDeps): Login {
  const { kysely, clock, sessions, devices, credentials } = deps
  const logIn = createLoginStore(deps)
  return {
    async logInNewUser(caller, { userId, password }, { remember }) {
      const outcome = await logIn(caller, { userId, remember }, async (_transaction, credentials) =>
        credentials?.password === password ? credentials : 'gone',
      )
      if (outcome === 'logged in') caller.record('login', { userId, cause: 'registration', remember })
    },
    async logIn(caller, { email, password, remember }) {
      const verified = await credentials.check(caller, { email, password, as: 'login' })
      if (verified === null) throw wrongCredentials()
      const { userId } = verified
      const outcome = await logIn(caller, { userId, remember }, async (transaction, credentials, browser) => {
        if (credentials?.password !== verified.password) return 'changed'
        if (!credentials.hasSecondFactor) return credentials
        const stamp = passwordStamp(credentials.password)
        return storeChallenge(transaction, browser, { userId, password: stamp, remember })
      })
      if (outcome === 'changed') throw wrongCredentials()
      if (outcome === 'challenged') return 'second factor'
      caller.record('login', { userId, cause: 'password', remember })
      return 'nothing'
    },
    isChallenged: ({ session }) =>
      session !== null && session.challenge !== null && isPending(session.challenge, clock()),
    completeChallenge: createChallengeCompletion(deps, logIn),
    async logOut(caller) {
      const { user } = caller.sessionCaller()
      sessions.adopt(caller, await storeLogout(kysely, user.id, loginBrowser(deps, caller)))
      devices.sendCookie(caller, null)
      caller.record('logout', { userId: user.id })
    },
  }
}

const loginBrowser = (
  { sessions, devices }: Pick<LoginDeps, 'sessions' | 'devices'>,
  caller: BrowserCaller,
): LoginBrowser => ({
  ...sessions.prepareReplacement(caller),
  address: caller.clientAddress.key,
  presented: devices.presentedToken(caller),
})

/**
 * Creates the function that stores a login and adds its cookies to the response. It verifies the user's address if the
 * browser has opened the link that was mailed to it.
 */
function createLoginStore(deps: LoginDeps) {
  const { config, kysely, clock, sessions, devices, openedLinks, identities } = deps
  // Concurrent logins of one user wait here: waiting for the row lock would occupy all login connections.
  const withUserMutex = keyedMutex()

  return async <Refusal extends string>(
    caller: BrowserCaller,
    { userId, remember }: { userId: number; remember: boolean },
    decide: Decide<Refusal>,
  ): Promise<'logged in' | 'challenged' | Refusal> => {
    const browser = loginBrowser(deps, caller)
    const device = remember ? devices.mintToken() : null
    const linkHash = openedLinks.hashFor(caller, userId)
    let isVerified = false
    const outcome = await withUserMutex(userId, () =>
      withLoginLock(kysely, { userId, ...browser }, async (transaction, credentials) => {
        const decision = await decide(transaction, credentials, browser)
        if (typeof decision === 'string' || 'id' in decision) return decision
        await requireNotBanned(identities.within(transaction), userId)
        if (linkHash !== null) {
          const account = { userId, hash: linkHash, types: config.tokenableTypes }
          isVerified = await verifyEmailByHash(transaction, account, clock())
        }
        return storeLogin(transaction, decision, browser, device)
      }),
    )
    if (typeof outcome === 'string') return outcome
    sessions.adopt(caller, outcome)
    if (outcome.userId === null) return 'challenged'
    devices.sendCookie(caller, device)
    if (linkHash !== null) openedLinks.forget(caller)
    if (isVerified) caller.record('email verified', { userId })
    return 'logged in'
  }
}

/** Creates {@link Login.completeChallenge}. */
const createChallengeCompletion =
  (
    { clock, attempts, secondFactor }: LoginDeps,
    logIn: ReturnType<typeof createLoginStore>,
  ): Login['completeChallenge'] =>
  async (caller, proof) => {
    const { session } = caller
    const pending = session?.challenge ?? null
    const account = String(pending?.userId ?? 'none')
    await attempts.count(caller, 'two_factor', account)
    const cause = proofName(proof)
    if (session === null || pending === null || !isPending(pending, clock())) throw wrongProof(proof)
    const { userId, remember } = pending

    /** Consumes the challenge, so that it yields one session at most, and the code, if it is right. */
    const complete = () =>
      logIn(caller, { userId, remember }, async (transaction, credentials) => {
        const taken = await lockChallenge(transaction, session.id.digest())
        if (taken?.userId !== userId || credentials === null) return 'over'
        if (!constantTimeEqual(passwordStamp(credentials.password), taken.password)) return 'over'
        return (await secondFactor.accepts(transaction, userId, proof)) ? credentials : 'wrong'
      })
    let outcome = 'over' as Awaited<ReturnType<typeof complete>>
    await attempts.verifySecret(caller, 'two_factor', {
      account,
      userId,
      async verify() {
        outcome = await complete()
        return outcome !== 'wrong'
      },
    })
    if (outcome === 'wrong') caller.record('wrong code', { userId, cause })
    if (outcome !== 'logged in') throw wrongProof(proof)
    caller.record('login', { userId, cause, remember })
  }
