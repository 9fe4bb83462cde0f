import type { FastifyInstance } from 'fastify'
import { type Answer, send } from './app.ts'

/** The page that a test's browser is on, unless it says otherwise: a first party under the default settings. */
export const SPA = 'http://localhost:3000'

interface BrowserRequest {
  headers?: Record<string, string>
  payload?: string | object
}

/** What a browser on some page does with cookies, and what axios does with the CSRF token. */
export class TestBrowser {
  readonly #app: FastifyInstance
  readonly cookies = new Map<string, string>()
  /** The headers that tell which page it is; none for a program. */
  page: Record<string, string>

  constructor(app: FastifyInstance, page: Record<string, string> = { referer: `${SPA}/` }) {
    this.#app = app
    this.page = page
  }

  /** Sends a request as it is: with the cookies, and without a proof that the page is a first party. */
  async bare(method: string, url: string, { headers, payload }: BrowserRequest = {}): Promise<Answer> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await send(this.#app, method, url, {
      headers: { ...this.page, ...(cookie && { cookie }), ...headers },
      ...(payload !== undefined && { payload }),
    })
    for (const line of answer.setCookies) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (/max-age=0\b/i.test(line)) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    return answer
  }

  /** Sends a request with the CSRF token of the cookie, if there is one. */
  send(method: string, url: string, request: BrowserRequest = {}): Promise<Answer> {
    const token = this.cookies.get('XSRF-TOKEN')
    return this.bare(method, url, {
      ...request,
      headers: { ...(token !== undefined && { 'x-xsrf-token': token }), ...request.headers },
    })
  }

  get(url: string, request?: BrowserRequest) {
    return this.send('GET', url, request)
  }

  post(url: string, payload?: object, request: BrowserRequest = {}) {
    return this.send('POST', url, { ...request, ...(payload && { payload }) })
  }

  /** Fetches the cookies and logs in. */
  async logIn({ email, password }: { email: string; password: string }): Promise<Answer> {
    await this.get('/sanctum/csrf-cookie')
    return this.post('/login', { email, password })
  }

  /** The id of its session, as the cookie has it. */
  get sessionId(): string {
    return this.cookies.get('animethemes_session') ?? this.cookies.get('__Host-animethemes_session') ?? ''
  }

  /** A browser with the same cookies, perhaps for another server. */
  clone(app = this.#app): TestBrowser {
    const other = new TestBrowser(app, this.page)
    for (const [name, value] of this.cookies) other.cookies.set(name, value)
    return other
  }
}
