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
import type { Bytes, EpochMillis } from '#src/runtime/units.ts'
import { browserOf, type Recorder } from './caller.ts'
import type { SessionHolder, Sessions } from './sessions.ts'

/** A caller whose browser may be remembered beyond its session. */
export interface DeviceHolder extends SessionHolder, Recorder {
  readonly method: string
  /** Whether no route matches. Such a request starts no session. */
  readonly is404: boolean
  /** The change of the device cookie that the response carries; null for none. */
  deviceCookie: DeviceCookie | null
}

/** A device cookie to set; an empty value deletes it. */
export interface DeviceCookie {
  value: string
  expiresAt: EpochMillis
}

/** Remembered devices: each has a token that is rotated at every use. */
export interface Devices {
  /**
   * Logs in the user of a remembered device, in a new session, if the request may start one.
   *
   * @returns true after a login; otherwise why the cookie was refused, null for no cookie
   * @throws {HttpError} 429 when the address presented too many wrong tokens
   */
  recognize(holder: DeviceHolder): Promise<true | DeviceFailure | null>
  /** The token of the request's cookie; null if it is absent or malformed. */
  presentedToken(holder: DeviceHolder): DeviceToken | null
  /** Creates a token for a new device. */
  mintToken(): DeviceToken
  /** Sets the device cookie in the response, or deletes the browser's one (null). */
  sendCookie(holder: DeviceHolder, token: DeviceToken | null): void
  /** Stores that the browser has received its current token, if that is not stored yet. */
  acknowledge(holder: DeviceHolder): Promise<void>
}

interface DevicesDeps {
  config: Config
  database: Pick<Database, 'kysely'>
  identities: Identities
  sessions: Sessions
  /** The text of the signing key. */
  signingKey: () => string
  /** Looks a token up within the limit of wrong tokens. */
  lookUpToken<T extends { isRight: boolean }>(
    holder: DeviceHolder,
    digest: string,
    lookUp: () => Promise<T>,
  ): Promise<T>
  clock: () => EpochMillis
  random: (size: Bytes) => Buffer
}

/** Creates the {@link Devices} of a server. */
export function createDevices(deps: DevicesDeps): Devices {
  const { config, database, identities, sessions, signingKey, lookUpToken, clock, random } = deps
  const { kysely } = database
  const { remember: cookie } = sessionCookies(config)

  /** Parses the request's device cookie; null for none. */
  const readCookie = ({ headers }: DeviceHolder): DeviceToken | 'device_malformed' | null => {
    const [value, ...more] = cookie.read(headers.cookie)
    if (value === undefined) return null
    return (more.length === 0 ? parseDeviceToken(value) : null) ?? 'device_malformed'
  }
  const setCookie = (holder: DeviceHolder, token: DeviceToken, expiresAt: number) => {
    holder.deviceCookie = { value: token.reveal(), expiresAt }
  }
  const clearCookie = (holder: DeviceHolder) => {
    holder.deviceCookie = { value: '', expiresAt: 0 }
  }

  /** Looks a device up and stores a session for it, unless the request may only join an existing one. */
  const recognizeToken = (holder: DeviceHolder, token: DeviceToken, next: DeviceToken, joinsOnly: boolean) =>
    lookUpToken(holder, token.digest(), () =>
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
      const token = readCookie(holder)
      if (token === null || !mayStartSession(holder)) return null
      const joinsOnly = holder.sessionFailure === 'session_replaced'
      if (token === 'device_malformed') {
        if (joinsOnly) return null
        clearCookie(holder)
        return token
      }
      const next = mintDeviceToken(random, token.selector)
      const found = await recognizeToken(holder, token, next, joinsOnly)
      if (!found.isRight) {
        // It counts as a wrong token all the same.
        if (joinsOnly) return null
        clearCookie(holder)
        if (found.failure === 'device_stolen') holder.record('device stolen', { userId: found.userId })
        return found.failure
      }
      if (found.outcome === 'joined') {
        return typeof (await sessions.join(holder, found.sessionId)) === 'string' ? null : true
      }
      if (found.expiresAt !== null) setCookie(holder, next, found.expiresAt)
      if (found.outcome === 'none') return null
      sessions.adopt(holder, found.session)
      holder.record('login', { userId: found.userId, cause: 'remembered device' })
      return true
    },
    presentedToken(holder) {
      const token = readCookie(holder)
      return token === 'device_malformed' ? null : token
    },
    mintToken: () => mintDeviceToken(random),
    sendCookie(holder, token) {
      if (token !== null) setCookie(holder, token, clock() + DEVICE_LIFETIME_MS)
      else if (readCookie(holder) !== null) clearCookie(holder)
    },
    async acknowledge(holder) {
      const { session } = holder
      if (session?.isDeviceUnseen !== true || session.userId === null || holder.deviceCookie !== null) return
      const token = readCookie(holder)
      if (!(token instanceof DeviceToken) || token.selector !== session.device) return
      await acknowledgeDevice(kysely, token, { userId: session.userId, session: session.id.digest() })
    },
  }
}

/** Cross-site requests start no session, even if they carry the cookie (login CSRF). */
const mayStartSession = ({ method, headers, is404, sessionFailure }: DeviceHolder): boolean =>
  (isSafe(method) || headers['sec-fetch-site'] === 'same-origin') &&
  !is404 &&
  sessionFailure !== 'session_ambiguous'
