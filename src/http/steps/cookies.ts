import type { FastifyReply, FastifyRequest } from 'fastify'
import type { DeviceCookie } from '#src/accounts/devices.ts'
import { type Sessions, SLOW_MS } from '#src/accounts/sessions.ts'
import { remainingMs, type Session } from '#src/auth/session.ts'
import { sessionCookies, twinsOf } from '#src/auth/session-cookies.ts'
import type { Config } from '#src/config/config.ts'
import type { EpochMillis, EpochSeconds, Millis, Seconds } from '#src/runtime/units.ts'
import type { Step } from '../step.ts'

/** The signature of `serializeCookie` of @fastify/cookie. */
type Serialize = (
  name: string,
  value: string,
  attributes: ReturnType<typeof sessionCookies>['attributes'] & {
    path: string
    httpOnly?: boolean
    maxAge: number
    expires: Date
  },
) => string

interface Dependencies {
  config: Config
  sessions: Sessions
  serializeCookie: Serialize
  noteOutage: (error: unknown) => boolean
  clock: () => EpochMillis
  delay: (ms: Millis) => Promise<unknown>
}

/** Whether a response may set a new session: not if the request was refused before authentication, or failed. */
const mayOfferSession = (status: number) => status !== 419 && status !== 429 && status < 500

/**
 * Sends the session cookie and the CSRF cookie. If the session replaces another one, it waits first, so that slower
 * responses with the old cookie arrive before.
 */
export function sessionCookieStep(needs: Dependencies): Step {
  const { config, sessions, noteOutage, delay } = needs
  const setCookies = createSessionCookieWriter(needs)
  const expireTwins = createTwinExpiry(needs)
  const renew = (session: Session, reply: FastifyReply) =>
    setCookies(reply, session, config.csrfMode === 'token' && reply.statusCode !== 419)
  const send = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    try {
      if (mayOfferSession(reply.statusCode)) await sessions.ensureSession(request)
      if (request.replacesSession) await delay(SLOW_MS)
      if (request.session !== null && !(await sessions.hasEnded(request))) renew(request.session, reply)
    } catch (error) {
      if (!noteOutage(error)) {
        request.log.warn({ err: error }, 'the session could not be stored or loaded')
      }
    }
  }
  return {
    appliesTo: route => route !== null && (route.config.isWeb === true || route.config.isApi === true),
    run(request, reply) {
      if (!request.isStateful || request.is404 || request.isTimedOut) return
      expireTwins(request, reply)
      // Most responses renew the cookies of a session that nothing has replaced, and need not wait for that.
      if (request.session !== null && !request.replacesSession && !sessions.mayHaveEnded(request)) {
        renew(request.session, reply)
        return
      }
      return send(request, reply)
    },
  }
}

/**
 * Creates the function that expires cookies which a browser has twice, as after a change of SESSION_DOMAIN: under all
 * domains and paths but those of the settings. Otherwise such a browser could neither use a session nor log in until the older
 * ones expire.
 */
function createTwinExpiry({ config, serializeCookie }: Pick<Dependencies, 'config' | 'serializeCookie'>) {
  const { session, remember, csrf, link, attributes } = sessionCookies(config)
  const { domain: _domain, ...others } = attributes
  // The prefix `__Host-` excludes domains and paths.
  const cookies = [session, remember, csrf, link].filter(({ name }) => !name.startsWith('__Host-'))
  return ({ headers, hostname }: FastifyRequest, reply: FastifyReply) => {
    const { cookie } = headers
    if (cookie === undefined) return
    for (const twice of cookies.filter(({ isTwice }) => isTwice(cookie))) {
      for (const { domain, path } of twinsOf(twice, hostname, config)) {
        const expired = {
          ...others,
          ...(domain !== undefined && { domain }),
          path,
          maxAge: 0,
          expires: new Date(0),
        }
        reply.header('set-cookie', serializeCookie(twice.name, '', expired))
      }
    }
  }
}

/** Creates the function that sets the cookies of a session. */
function createSessionCookieWriter({ config, serializeCookie, clock }: Dependencies) {
  const cookies = sessionCookies(config)
  /** Serializes the attributes of cookies, without names and values. */
  const attributesUntil = (end: EpochSeconds, maxAge: Seconds) => {
    const attributes = { ...cookies.attributes, maxAge, expires: new Date(end * 1000) }
    const readable = { ...attributes, path: cookies.csrf.path }
    const hidden = { ...attributes, path: cookies.session.path, httpOnly: true }
    return {
      end,
      maxAge,
      readable: serializeCookie('n', '', readable).slice('n='.length),
      hidden: serializeCookie('n', '', hidden).slice('n='.length),
    }
  }
  // Cached, since it is the same for all cookies that are set within a second.
  let last = { end: 0, maxAge: 0, readable: '', hidden: '' }
  return (reply: FastifyReply, session: Session, withToken: boolean) => {
    const { id } = session
    const now = clock()
    const ms = remainingMs(session, now, config)
    const [end, maxAge] = [Math.floor((now + ms) / 1000), Math.floor(ms / 1000)]
    if (last.end !== end || last.maxAge !== maxAge) last = attributesUntil(end, maxAge)
    const cookie = `${cookies.session.name}=${id.reveal()}${last.hidden}`
    reply.header(
      'set-cookie',
      withToken ? [`${cookies.csrf.name}=${id.csrfToken()}${last.readable}`, cookie] : [cookie],
    )
  }
}

/** Sets or deletes the cookies of a remembered device and of an opened link: `request.deviceCookie` and `linkCookie`. */
export function deviceAndLinkCookieStep({
  config,
  serializeCookie,
  clock,
}: Pick<Dependencies, 'config' | 'serializeCookie' | 'clock'>): Step {
  const { remember, link, attributes } = sessionCookies(config)
  const set = (reply: FastifyReply, { name, path }: typeof link, { value, expiresAt }: DeviceCookie) => {
    const maxAge = Math.max(0, Math.floor((expiresAt - clock()) / 1000))
    const expires = new Date(expiresAt)
    const hidden = { ...attributes, path, httpOnly: true, maxAge, expires }
    reply.header('set-cookie', serializeCookie(name, value, hidden))
  }
  return {
    run(request, reply) {
      if (request.deviceCookie !== null) set(reply, remember, request.deviceCookie)
      if (request.linkCookie !== null) set(reply, link, request.linkCookie)
    },
  }
}
