import {
  DEVICE_LIFETIME_MS,
  type DeviceFailure,
  DeviceToken,
  deviceSessionId,
  mintDeviceToken,
  parseDeviceToken,
} from '#src/auth/device.ts'
import { isSafe } from '#src/auth/safe-methods.ts'
import { sessionCookies } from '#src/auth/session-cookies.ts'
import type { Config } from '#src/config/config.ts'
import type { Database } from '#src/database/connect.ts'
import { acknowledgeDevice, recognizeDevice } from '#src/database/devices.ts'
import type { Identities } from '#src/database/identities.ts'
import { browserOf, type Recorder } from './caller.ts'
import type { SessionHolder, Sessions } from './sessions.ts'

/** A caller whose browser may be remembered beyond its session. */
export interface DeviceHolder extends SessionHolder, Recorder {
  readonly method: string
  /** Whether no route takes the request: it begins no session. */
  readonly is404: boolean
  /** What the answer does to the cookie that remembers the browser; null for nothing. */
  deviceCookie: DeviceCookie | null
}

/** A cookie that is set, or with an empty value taken away; it ends at a moment in milliseconds since the epoch. */
export interface DeviceCookie {
  value: string
  expiresAt: number
}

/** Keeps browsers logged in beyond their session, each by a token of its own that is replaced when it is used. */
export interface Devices {
  /**
   * Logs in whoever the browser is remembered for, in a new session, if the request may begin one.
   *
   * @returns true if somebody is; otherwise why the cookie opens nothing, and null without one
   * @throws {HttpError} 429 when the address has shown too many wrong ones
   */
  recognize(holder: DeviceHolder): Promise<true | DeviceFailure | null>
  /** The token of the request's cookie; null without one that could be ours. */
  presented(holder: DeviceHolder): DeviceToken | null
  /** A token for a new device. */
  mint(): DeviceToken
  /** Has the answer bring a device's token, or take away the one that the browser has (null). */
  send(holder: DeviceHolder, token: DeviceToken | null): void
  /** Stores that the browser of a request has the token that it was given, if that is not known yet. */
  acknowledge(holder: DeviceHolder): Promise<void>
}

interface Needs {
  config: Config
  database: Pick<Database, 'kysely'>
  identities: Identities
  sessions: Sessions
  /** The text of the key that signs. */
  signingKey: () => string
  /** Looks a token up within the bound on wrong ones. */
  guess<T extends { isRight: boolean }>(
    holder: DeviceHolder,
    digest: string,
    lookUp: () => Promise<T>,
  ): Promise<T>
  /** Milliseconds since the epoch. */
  clock: () => number
  random: (size: number) => Buffer
}

/** Makes the {@link Devices} of a server. */
export function createDevices(needs: Needs): Devices {
  const { config, database, identities, sessions, signingKey, guess, clock, random } = needs
  const { kysely } = database
  const { remember: cookie } = sessionCookies(config)

  /** What the request's cookie holds; null without one. */
  const read = ({ headers }: DeviceHolder): DeviceToken | 'device_malformed' | null => {
    const [value, ...more] = cookie.read(headers.cookie)
    if (value === undefined) return null
    return (more.length === 0 ? parseDeviceToken(value) : null) ?? 'device_malformed'
  }
  const set = (holder: DeviceHolder, token: DeviceToken, expiresAt: number) => {
    holder.deviceCookie = { value: token.reveal(), expiresAt }
  }
  const clear = (holder: DeviceHolder) => {
    holder.deviceCookie = { value: '', expiresAt: 0 }
  }

  /** Looks a device up, and has a session begin for it unless the request may only join one. */
  const find = (holder: DeviceHolder, token: DeviceToken, next: DeviceToken, joinsOnly: boolean) =>
    guess(holder, token.digest(), () =>
      recognizeDevice(kysely, token, {
        next,
        sessionIdOf: nextValidator => deviceSessionId(signingKey(), token, nextValidator),
        old: holder.session?.id.digest() ?? null,
        browser: browserOf(holder),
        address: holder.clientAddress.key,
        mayLogIn: async (transaction, userId) =>
          ((await identities.within(transaction).user(userId))?.ban ?? null) === null,
        joinsOnly,
        now: clock(),
      }),
    )

  return {
    async recognize(holder) {
      const token = read(holder)
      if (token === null || !mayBegin(holder)) return null
      const joinsOnly = holder.sessionFailure === 'session_replaced'
      if (token === 'device_malformed') {
        if (joinsOnly) return null
        clear(holder)
        return token
      }
      const next = mintDeviceToken(random, token.selector)
      const found = await find(holder, token, next, joinsOnly)
      if (!found.isRight) {
        // A wrong one counts as a guess all the same.
        if (joinsOnly) return null
        clear(holder)
        if (found.failure === 'device_stolen') holder.record('device stolen', { userId: found.userId })
        return found.failure
      }
      if (found.outcome === 'joined') {
        return typeof (await sessions.join(holder, found.sessionId)) === 'string' ? null : true
      }
      if (found.expiresAt !== null) set(holder, next, found.expiresAt)
      if (found.outcome === 'none') return null
      sessions.adopt(holder, found.session)
      holder.record('login', { userId: found.userId, cause: 'remembered device' })
      return true
    },
    presented(holder) {
      const token = read(holder)
      return token === 'device_malformed' ? null : token
    },
    mint: () => mintDeviceToken(random),
    send(holder, token) {
      if (token !== null) set(holder, token, clock() + DEVICE_LIFETIME_MS)
      else if (read(holder) !== null) clear(holder)
    },
    async acknowledge(holder) {
      const { session } = holder
      if (session?.isDeviceUnseen !== true || session.userId === null || holder.deviceCookie !== null) return
      const token = read(holder)
      if (!(token instanceof DeviceToken) || token.selector !== session.device) return
      await acknowledgeDevice(kysely, token, { userId: session.userId, session: session.id.digest() })
    },
  }
}

/** What a page of somebody else sends begins no session, even if its cookies came along. */
const mayBegin = ({ method, headers, is404, sessionFailure }: DeviceHolder): boolean =>
  (isSafe(method) || headers['sec-fetch-site'] === 'same-origin') &&
  !is404 &&
  sessionFailure !== 'session_ambiguous'
