import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Sessions, SLOW_MS } from '#src/accounts/sessions.ts'
import { remainingMs, type Session } from '#src/auth/session.ts'
import { CSRF_COOKIE, sessionCookies } from '#src/auth/session-cookies.ts'
import type { Config } from '#src/config/config.ts'
import type { Step } from '../step.ts'

/** Writes a cookie as @fastify/cookie does. */
type Serialize = (
  name: string,
  value: string,
  attributes: ReturnType<typeof sessionCookies>['attributes'] & {
    httpOnly?: boolean
    maxAge: number
    expires: Date
  },
) => string

interface Needs {
  config: Config
  sessions: Sessions
  serializeCookie: Serialize
  noteOutage: (error: unknown) => boolean
  /** Milliseconds since the epoch. */
  clock: () => number
  delay: (ms: number) => Promise<unknown>
}

/** Whether an answer brings a session along: not one to a request that was refused before anybody looked at it. */
const deservesSession = (status: number) => status !== 419 && status !== 429 && status < 500

/** Sends the cookies of the request's session: its id, and the CSRF token for scripts. A new session waits for old answers. */
export function sessionCookieStep(needs: Needs): Step {
  const { config, sessions, noteOutage, delay } = needs
  const setCookies = sessionCookieWriter(needs)
  const send = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    try {
      if (deservesSession(reply.statusCode)) await sessions.offer(request)
      if (request.replacesSession) await delay(SLOW_MS)
      if (request.session !== null && !(await sessions.isOver(request))) {
        const withToken = config.csrfMode === 'token' && reply.statusCode !== 419
        setCookies(reply, request.session, withToken)
      }
    } catch (error) {
      if (!noteOutage(error)) {
        request.log.warn({ err: error }, 'a session could not be stored, or looked up again')
      }
    }
  }
  return {
    appliesTo: route => route !== null && (route.config.isWeb === true || route.config.isApi === true),
    run: (request, reply) =>
      request.isStateful && !request.is404 && !request.isGivenUp ? send(request, reply) : undefined,
  }
}

/** Makes the function that sets the cookies of a session. */
function sessionCookieWriter({ config, serializeCookie, clock }: Needs) {
  const cookies = sessionCookies(config)
  /** What stands behind the values of cookies that end at a time, in seconds since the epoch. */
  const attributesUntil = (end: number, maxAge: number) => {
    const attributes = { ...cookies.attributes, maxAge, expires: new Date(end * 1000) }
    return {
      end,
      maxAge,
      readable: serializeCookie('n', '', attributes).slice('n='.length),
      hidden: serializeCookie('n', '', { ...attributes, httpOnly: true }).slice('n='.length),
    }
  }
  // The same for all whose cookies are set within a second.
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
      withToken ? [`${CSRF_COOKIE}=${id.csrfToken()}${last.readable}`, cookie] : [cookie],
    )
  }
}

/** Sends or takes away the cookie that remembers the browser, as `request.deviceCookie` says. */
export function deviceCookieStep({
  config,
  serializeCookie,
  clock,
}: Pick<Needs, 'config' | 'serializeCookie' | 'clock'>): Step {
  const { remember: cookie, attributes } = sessionCookies(config)
  return {
    run(request, reply) {
      if (request.deviceCookie === null) return
      const { value, expiresAt } = request.deviceCookie
      const maxAge = Math.max(0, Math.floor((expiresAt - clock()) / 1000))
      const expires = new Date(expiresAt)
      reply.header(
        'set-cookie',
        serializeCookie(cookie.name, value, { ...attributes, httpOnly: true, maxAge, expires }),
      )
    },
  }
}
