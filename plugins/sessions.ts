import cookie from '@fastify/cookie'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { createDevices, type DeviceCookie, type Devices } from '#src/accounts/devices.ts'
import { createOpenedLinks, type OpenedLinks } from '#src/accounts/opened-links.ts'
import { createSessions, type Sessions } from '#src/accounts/sessions.ts'
import type { Session } from '#src/auth/session.ts'
import type { SessionFailure } from '#src/auth/stored-session.ts'
import { deviceAndLinkCookieStep, sessionCookieStep } from '#src/http/steps/cookies.ts'

declare module 'fastify' {
  interface FastifyInstance {
    sessions: Sessions
    devices: Devices
    openedLinks: OpenedLinks
  }
  interface FastifyRequest {
    /** The session of a stateful request, existing or new; null if there is none yet. */
    session: Session | null
    sessionFailure: SessionFailure | null
    sessionReadAt: number
    hasNewSession: boolean
    replacesSession: boolean
    deviceCookie: DeviceCookie | null
    linkCookie: DeviceCookie | null
  }
}

/** Adds `app.sessions`, `app.devices` and `app.openedLinks`, and sends their cookies. */
export default fp(
  async app => {
    const { config, database, identities, clock, monotonic, random, keys, delay, noteOutage } = app
    app.decorate('sessions', createSessions({ config, database, identities, clock, monotonic, random }))
    const { sessions } = app
    const signingKey = () => keys.signing()[0]
    const lookUpToken: Parameters<typeof createDevices>[0]['lookUpToken'] = (holder, digest, lookUp) =>
      app.attempts.lookUpToken(holder as FastifyRequest, digest, lookUp)
    app.decorate(
      'devices',
      createDevices({ config, database, identities, sessions, signingKey, lookUpToken, clock, random }),
    )
    app.decorate('openedLinks', createOpenedLinks({ config, keys, clock }))
    // After the response: no response waits for this write.
    app.onRequestEnd(request => {
      if (request.session?.isDeviceUnseen !== true) return
      app.devices
        .acknowledge(request)
        .catch(error =>
          request.log.warn({ err: error }, 'the acknowledgement of a device token could not be stored'),
        )
    })
    // In a scope of its own: it only serializes attributes, and its hook would run for every response.
    let serializeCookie!: FastifyInstance['serializeCookie']
    await app.register(async scope => {
      await scope.register(cookie, { hook: false })
      serializeCookie = scope.serializeCookie
    })
    app.addStep('onSend', sessionCookieStep({ config, sessions, serializeCookie, noteOutage, clock, delay }))
    app.addStep('onSend', deviceAndLinkCookieStep({ config, serializeCookie, clock }))
  },
  {
    name: 'sessions',
    dependencies: [
      'attempts',
      'client-address',
      'database',
      'events',
      'first-party',
      'keys',
      'request-end',
      'steps',
    ],
  },
)
