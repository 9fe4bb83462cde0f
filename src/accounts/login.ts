import type { Kysely, Transaction } from 'kysely'
import { equalSecrets } from '#src/auth/secret.ts'
import { isPending, passwordStamp, type Session } from '#src/auth/session.ts'
import type { Identities } from '#src/database/identities.ts'
import { keyedMutex } from '#src/database/keyed-mutex.ts'
import {
  type LoginBrowser,
  storeChallenge,
  storeLogin,
  storeLogout,
  underLoginLock,
} from '#src/database/logins.ts'
import type { Schema } from '#src/database/schema.ts'
import { takeChallenge } from '#src/database/sessions.ts'
import type { Credentials } from '#src/database/users.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Attempts } from './attempts.ts'
import type { BrowserCaller, DeviceTokens, SessionReplacement } from './browser-caller.ts'
import type { PasswordCredentials } from './credentials.ts'
import { refuseBanned } from './login-check.ts'
import type { SecondFactor } from './second-factor.ts'
import { proofName, type SecondFactorProof, wrongProof } from './second-factor-proof.ts'

/**
 * The ways into an account, but for remembered devices. Each of them verifies first and then decides once more in the
 * transaction that stores the session, under the user's lock: see {@link underLoginLock}.
 */
export interface Login {
  /** Logs a user in who has just registered, and remembers the browser if that is wanted. */
  enterAsNew(
    caller: BrowserCaller,
    user: Pick<Credentials, 'userId' | 'password'>,
    options: { remember: boolean },
  ): Promise<void>
  /**
   * Logs in whoever knows a password, or has the session wait for the second factor.
   *
   * @returns what is still owed
   * @throws {HttpError} 422 for a wrong one and for a user who is banned from everything, and as
   *   {@link PasswordCredentials.check}
   */
  enter(
    caller: BrowserCaller,
    entered: { email: string; password: string; remember: boolean },
  ): Promise<'nothing' | 'second factor'>
  /** Whether the session waits for a second factor. */
  isChallenged(caller: Pick<BrowserCaller, 'session'>): boolean
  /**
   * Logs in whoever the session waits for, by one of both codes.
   *
   * @throws {HttpError} 422 for a wrong one and when nobody is waited for, 429 when a limit is used up
   */
  answerChallenge(caller: BrowserCaller, proof: SecondFactorProof): Promise<void>
  /** Ends the session of whoever is logged in, and forgets the browser. */
  logOut(caller: BrowserCaller): Promise<void>
}

/** What {@link createLogin} works with. */
export interface LoginDeps {
  kysely: Kysely<Schema>
  /** Milliseconds since the epoch. */
  clock: () => number
  sessions: SessionReplacement
  devices: DeviceTokens
  identities: Pick<Identities, 'within'>
  attempts: Attempts
  credentials: PasswordCredentials
  secondFactor: Pick<SecondFactor, 'accepts'>
}

/** Decides under lock what a login comes to: whose it is, a challenge, or why there is none. */
type Decide<Refusal extends string> = (
  transaction: Transaction<Schema>,
  credentials: Credentials | null,
  browser: LoginBrowser,
) => Promise<Credentials | Session | Refusal>

/** Makes the {@link Login} of a server. */
export function createLogin(deps: LoginDeps): Login {
  const { kysely, clock, sessions, devices, credentials } = deps
  const logIn = storingLogins(deps)
  return {
    async enterAsNew(caller, { userId, password }, { remember }) {
      const outcome = await logIn(caller, { userId, remember }, async (_transaction, credentials) =>
        credentials?.password === password ? credentials : 'gone',
      )
      if (outcome === 'logged in') caller.record('login', { userId, cause: 'registration', remember })
    },
    async enter(caller, { email, password, remember }) {
      const verified = await credentials.check(caller, { email, password, as: 'login' })
      if (verified === null) throw unprocessable({ email: [MESSAGES.wrongCredentials] })
      const { userId } = verified
      const outcome = await logIn(caller, { userId, remember }, async (transaction, credentials, browser) => {
        if (credentials?.password !== verified.password) return 'changed'
        if (!credentials.hasSecondFactor) return credentials
        const stamp = passwordStamp(credentials.password)
        return storeChallenge(transaction, browser, { userId, password: stamp, remember })
      })
      if (outcome === 'changed') throw unprocessable({ email: [MESSAGES.wrongCredentials] })
      if (outcome === 'challenged') return 'second factor'
      caller.record('login', { userId, cause: 'password', remember })
      return 'nothing'
    },
    isChallenged: ({ session }) =>
      session !== null && session.challenge !== null && isPending(session.challenge, clock()),
    answerChallenge: answeringChallenges(deps, logIn),
    async logOut(caller) {
      const { user } = caller.sessionCaller()
      sessions.adopt(caller, await storeLogout(kysely, user.id, browserOfLogin(deps, caller)))
      devices.send(caller, null)
      caller.record('logout', { userId: user.id })
    },
  }
}

const browserOfLogin = (
  { sessions, devices }: Pick<LoginDeps, 'sessions' | 'devices'>,
  caller: BrowserCaller,
): LoginBrowser => ({
  ...sessions.next(caller),
  address: caller.clientAddress.key,
  presented: devices.presented(caller),
})

/** Makes a function that stores a login, of which the answer brings the cookies. */
function storingLogins(deps: LoginDeps) {
  const { kysely, sessions, devices, identities } = deps
  // Logins of one user wait for that user's row here: in the database they would occupy all connections for logins.
  const inTurn = keyedMutex()

  return async <Refusal extends string>(
    caller: BrowserCaller,
    { userId, remember }: { userId: number; remember: boolean },
    decide: Decide<Refusal>,
  ): Promise<'logged in' | 'challenged' | Refusal> => {
    const browser = browserOfLogin(deps, caller)
    const device = remember ? devices.mint() : null
    const outcome = await inTurn(userId, () =>
      underLoginLock(kysely, { userId, ...browser }, async (transaction, credentials) => {
        const decision = await decide(transaction, credentials, browser)
        if (typeof decision === 'string' || 'id' in decision) return decision
        await refuseBanned(identities.within(transaction), userId)
        return storeLogin(transaction, decision, browser, device)
      }),
    )
    if (typeof outcome === 'string') return outcome
    sessions.adopt(caller, outcome)
    if (outcome.userId === null) return 'challenged'
    devices.send(caller, device)
    return 'logged in'
  }
}

/** Makes {@link Login.answerChallenge}. */
const answeringChallenges =
  (
    { clock, attempts, secondFactor }: LoginDeps,
    logIn: ReturnType<typeof storingLogins>,
  ): Login['answerChallenge'] =>
  async (caller, proof) => {
    const { session } = caller
    const pending = session?.challenge ?? null
    const account = String(pending?.userId ?? 'nobody')
    await attempts.count(caller, 'two_factor', account)
    const cause = proofName(proof)
    if (session === null || pending === null || !isPending(pending, clock())) throw wrongProof(proof)
    const { userId, remember } = pending

    /** Takes the challenge, so that it leads to one session, and uses the code up, if it is right. */
    const answer = () =>
      logIn(caller, { userId, remember }, async (transaction, credentials) => {
        const taken = await takeChallenge(transaction, session.id.digest())
        if (taken?.userId !== userId || credentials === null) return 'over'
        if (!equalSecrets(passwordStamp(credentials.password), taken.password)) return 'over'
        return (await secondFactor.accepts(transaction, userId, proof)) ? credentials : 'wrong'
      })
    let outcome = 'over' as Awaited<ReturnType<typeof answer>>
    await attempts.judge(caller, 'two_factor', {
      account,
      userId,
      async verify() {
        outcome = await answer()
        return outcome !== 'wrong'
      },
    })
    if (outcome === 'wrong') caller.record('wrong code', { userId, cause })
    if (outcome !== 'logged in') throw wrongProof(proof)
    caller.record('login', { userId, cause, remember })
  }
