import { type Answer, type Call, describe, type Outcome, send } from './http.ts'

/** A browser with cookies on a first-party page. */
export class Browser {
  readonly #page: string
  readonly #cookies = new Map<string, string>()

  /** @param page the origin of the page */
  constructor(page = 'http://localhost:3000') {
    this.#page = page
  }

  /** Sends a request like a script of the page. */
  async send(base: string, call: Call): Promise<Outcome> {
    const csrf = this.#cookies.get('XSRF-TOKEN')
    const outcome = await send(base, {
      ...call,
      headers: {
        origin: this.#page,
        referer: `${this.#page}/`,
        cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(csrf !== undefined && { 'x-xsrf-token': decodeURIComponent(csrf) }),
        ...call.headers,
      },
    })
    if (outcome.kind === 'answer') this.#keep(outcome)
    return outcome
  }

  /** Logs in like the page. @returns the response to the login, or the failure before it */
  async logIn(base: string, { email, password }: { email: string; password: string }): Promise<Outcome> {
    const offered = await this.send(base, { path: '/sanctum/csrf-cookie' })
    if (offered.kind !== 'answer' || offered.status !== 204) return offered
    return this.send(base, { method: 'POST', path: '/login', json: { email, password } })
  }

  #keep({ headers }: Answer) {
    for (const cookie of headers['set-cookie'] ?? []) {
      const [pair = ''] = cookie.split(';')
      const equals = pair.indexOf('=')
      this.#cookies.set(pair.slice(0, equals), pair.slice(equals + 1))
    }
  }
}

/** Logs a user in and requests the user. @returns the failure, or null */
export async function loginFault(
  base: string,
  user: { id: number; email: string; password: string },
): Promise<string | null> {
  const browser = new Browser()
  const login = await browser.logIn(base, user)
  if (login.kind !== 'answer' || login.status !== 200) {
    return `POST /login on ${base}: expected 200, got ${describe(login)}`
  }
  const me = await browser.send(base, { path: '/api/me' })
  const id = me.kind === 'answer' ? (me.json?.user as { id?: number } | undefined)?.id : undefined
  return id === user.id
    ? null
    : `GET /api/me after a login on ${base}: expected user ${user.id}, got ${describe(me)}`
}
