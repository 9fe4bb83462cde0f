import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import {
  DEVICE_LIFETIME_MS,
  type DeviceFailure,
  DeviceToken,
  mintDeviceToken,
  parseDeviceToken,
} from '../src/auth/device.ts'
import type { PasswordStamp } from '../src/auth/session.ts'
import { MINUTE_MS } from '../src/auth/time.ts'
import { acknowledgeDevice, forgetDevice, recognizeDevice, rememberDevice } from '../src/database/devices.ts'
import { noteLogin } from '../src/database/login-addresses.ts'
import { browserOf, isSafe } from '../src/http.ts'
import { sessionCookies } from '../src/session-cookies.ts'

declare module 'fastify' {
  interface FastifyInstance {
    devices: Devices
  }
  interface FastifyRequest {
    /** What the answer does to the cookie that remembers the browser; null for nothing. */
    deviceCookie: { value: string; expiresAt: number } | null
  }
}

interface Devices {
  /**
   * Logs in whoever the browser is remembered for, in a new session, if the request may begin one.
   *
   * @returns true if somebody is; otherwise why the cookie opens nothing, and null without one
   * @throws {HttpError} 429 when the address has shown too many wrong ones
   */
  recognize(request: FastifyRequest): Promise<true | DeviceFailure | null>
  /** Remembers the browser for a user who is logging in, and returns the device's selector. */
  remember(request: FastifyRequest, login: { userId: number; password: PasswordStamp }): Promise<string>
  /** Forgets the browser, if it is remembered. */
  forget(request: FastifyRequest): Promise<void>
}

/** As many as a browser can need whose cookies are lost on the way, and too few to fill a table with. */
const SESSIONS_A_MINUTE = 20

/** Keeps browsers logged in beyond their session, each by a token of its own that is replaced when it is used. */
export default fp(
  async app => {
    const { config, clock, random } = app
    const { kysely } = app.database
    const { remember: cookie, attributes } = sessionCookies(config)

    app.decorateRequest('deviceCookie', null)
    /** The token of the request's cookie; null without one. */
    const presented = ({ headers }: FastifyRequest): DeviceToken | 'device_malformed' | null => {
      const [value, ...more] = cookie.read(headers.cookie)
      if (value === undefined) return null
      return (more.length === 0 ? parseDeviceToken(value) : null) ?? 'device_malformed'
    }
    const clear = (request: FastifyRequest) => {
      request.deviceCookie = { value: '', expiresAt: 0 }
    }

    app.decorate('devices', {
      async recognize(request) {
        const token = presented(request)
        // What a page of somebody else sends begins no session, even if its cookies came along.
        const mayBegin = isSafe(request.method) || isSameOrigin(request)
        if (token === null || request.is404 || !mayBegin || hasOthers(request)) return null
        if (token === 'device_malformed') {
          clear(request)
          return token
        }
        const next = mintDeviceToken(random, token.selector)
        const found = await app.attempts.guess(request, token.digest(), () =>
          recognizeDevice(kysely, token, { next, browser: browserOf(request), now: clock() }),
        )
        if (!found.isRight) {
          clear(request)
          if (found.failure === 'device_stolen') request.record('device stolen', { userId: found.userId })
          return found.failure
        }
        const { userId, password, isRotated, expiresAt } = found
        if (isRotated) request.deviceCookie = { value: next.reveal(), expiresAt }
        // Counted for devices that there are: nobody fills the counters with names of their own.
        const { current } = await app.counters.hit(`device:${token.selector}`, MINUTE_MS)
        if (current > SESSIONS_A_MINUTE || (await app.identities.user(userId))?.ban) return null
        await noteLogin(kysely, userId, request.clientAddress.key, clock())
        await app.sessions.start(request, {
          login: { userId, password, device: token.selector, isDeviceUnseen: true },
        })
        request.record('login', { userId, cause: 'remembered device' })
        return true
      },
      async remember(request, { userId, password }) {
        const now = clock()
        const token = mintDeviceToken(random)
        await rememberDevice(kysely, { token, userId, password, browser: browserOf(request), now })
        request.deviceCookie = { value: token.reveal(), expiresAt: now + DEVICE_LIFETIME_MS }
        return token.selector
      },
      async forget(request) {
        const token = presented(request)
        if (token === null) return
        clear(request)
        if (token !== 'device_malformed') await forgetDevice(kysely, token)
      },
    })

    // The browser that was given a token shows it with its next request. No answer waits for that to be written.
    app.addHook('onResponse', (request, _reply, done) => {
      const { session } = request
      if (session?.isDeviceUnseen === true && request.deviceCookie === null) {
        const token = presented(request)
        if (token instanceof DeviceToken && token.selector === session.device) {
          acknowledgeDevice(kysely, token, session.id.digest()).catch(error =>
            request.log.warn({ err: error }, 'it could not be stored that a device has its token'),
          )
        }
      }
      done()
    })

    app.addHook('onSend', (request, reply, _payload, done) => {
      if (request.deviceCookie !== null) {
        const { value, expiresAt } = request.deviceCookie
        const maxAge = Math.max(0, Math.floor((expiresAt - clock()) / 1000))
        const expires = new Date(expiresAt)
        const text = app.serializeCookie(cookie.name, value, {
          ...attributes,
          httpOnly: true,
          maxAge,
          expires,
        })
        reply.header('set-cookie', text)
      }
      done()
    })
  },
  { name: 'devices', dependencies: ['attempts', 'client-address', 'counters', 'events', 'session'] },
)

/** Whether the browser has, or will in a moment have, other cookies than these: a login or logout has set them. */
const hasOthers = ({ sessionFailure }: FastifyRequest) =>
  sessionFailure === 'session_replaced' || sessionFailure === 'session_ambiguous'

const isSameOrigin = ({ headers }: FastifyRequest) => headers['sec-fetch-site'] === 'same-origin'
