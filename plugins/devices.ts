import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import {
  DEVICE_LIFETIME_MS,
  type DeviceFailure,
  DeviceToken,
  deviceSessionId,
  mintDeviceToken,
  parseDeviceToken,
} from '#src/auth/device.ts'
import { sessionCookies } from '#src/auth/session-cookies.ts'
import { acknowledgeDevice, recognizeDevice } from '#src/database/devices.ts'
import { browserOf, isSafe } from '#src/http/http.ts'

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
  /** The token of the request's cookie; null without one that could be ours. */
  presented(request: FastifyRequest): DeviceToken | null
  /** A token for a new device. */
  mint(): DeviceToken
  /** Has the answer bring a device's token, or take away the one that the browser has (null). */
  send(request: FastifyRequest, token: DeviceToken | null): void
}

/** Keeps browsers logged in beyond their session, each by a token of its own that is replaced when it is used. */
export default fp(
  async app => {
    const { config, clock, random, keys } = app
    const { kysely } = app.database
    const { remember: cookie, attributes } = sessionCookies(config)

    app.decorateRequest('deviceCookie', null)
    /** What the request's cookie holds; null without one. */
    const presented = ({ headers }: FastifyRequest): DeviceToken | 'device_malformed' | null => {
      const [value, ...more] = cookie.read(headers.cookie)
      if (value === undefined) return null
      return (more.length === 0 ? parseDeviceToken(value) : null) ?? 'device_malformed'
    }
    const set = (request: FastifyRequest, token: DeviceToken, expiresAt: number) => {
      request.deviceCookie = { value: token.reveal(), expiresAt }
    }
    const clear = (request: FastifyRequest) => {
      request.deviceCookie = { value: '', expiresAt: 0 }
    }

    app.decorate('devices', {
      async recognize(request) {
        const token = presented(request)
        // What a page of somebody else sends begins no session, even if its cookies came along.
        const mayBegin = isSafe(request.method) || isSameOrigin(request)
        if (token === null || request.is404 || !mayBegin || request.sessionFailure === 'session_ambiguous')
          return null
        const joinsOnly = request.sessionFailure === 'session_replaced'
        if (token === 'device_malformed') {
          if (joinsOnly) return null
          clear(request)
          return token
        }
        const next = mintDeviceToken(random, token.selector)
        const [key] = keys.signing()
        const found = await app.attempts.guess(request, token.digest(), () =>
          recognizeDevice(kysely, token, {
            next,
            sessionIdOf: nextValidator => deviceSessionId(key, token, nextValidator),
            old: request.session?.id.digest() ?? null,
            browser: browserOf(request),
            address: request.clientAddress.key,
            mayLogIn: async (transaction, userId) =>
              ((await app.identities.within(transaction).user(userId))?.ban ?? null) === null,
            joinsOnly,
            now: clock(),
          }),
        )
        if (!found.isRight) {
          // A wrong one counts as a guess all the same.
          if (joinsOnly) return null
          clear(request)
          if (found.failure === 'device_stolen') request.record('device stolen', { userId: found.userId })
          return found.failure
        }
        if (found.outcome === 'joined') {
          return typeof (await app.sessions.join(request, found.sessionId)) === 'string' ? null : true
        }
        if (found.expiresAt !== null) set(request, next, found.expiresAt)
        if (found.outcome === 'none') return null
        app.sessions.adopt(request, found.session)
        request.record('login', { userId: found.userId, cause: 'remembered device' })
        return true
      },
      presented(request) {
        const token = presented(request)
        return token === 'device_malformed' ? null : token
      },
      mint: () => mintDeviceToken(random),
      send(request, token) {
        if (token !== null) set(request, token, clock() + DEVICE_LIFETIME_MS)
        else if (presented(request) !== null) clear(request)
      },
    })

    // The browser that was given a token shows it with its next request. No answer waits for that to be written.
    app.onRequestEnd(request => {
      const { session } = request
      if (session?.isDeviceUnseen === true && session.userId !== null && request.deviceCookie === null) {
        const token = presented(request)
        if (token instanceof DeviceToken && token.selector === session.device) {
          const known = { userId: session.userId, session: session.id.digest() }
          acknowledgeDevice(kysely, token, known).catch(error =>
            request.log.warn({ err: error }, 'it could not be stored that a device has its token'),
          )
        }
      }
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
  {
    name: 'devices',
    dependencies: ['attempts', 'client-address', 'events', 'keys', 'request-end', 'session'],
  },
)

const isSameOrigin = ({ headers }: FastifyRequest) => headers['sec-fetch-site'] === 'same-origin'
