import type { FastifyInstance } from 'fastify'
import { type Answer, addUser } from './app.ts'
import { TestBrowser } from './browser.ts'
import type { TestDatabase } from './databases.ts'

type Fields = Readonly<Record<string, string | readonly string[]>>

/** What a browser on the panel's own pages does, without a script: opens pages, and sends their forms. */
export class PanelBrowser extends TestBrowser {
  readonly #server: FastifyInstance

  constructor(app: FastifyInstance) {
    super(app, {})
    this.#server = app
  }

  override clone(app = this.#server): PanelBrowser {
    const other = new PanelBrowser(app)
    for (const [name, value] of this.cookies) other.cookies.set(name, value)
    return other
  }

  /** Opens a page, or what it leads to. */
  async open(path: string): Promise<Answer> {
    const answer = await this.bare('GET', path)
    return answer.status === 303 ? this.open(answer.headers.location ?? '') : answer
  }

  /** Sends a form of a page with its hidden fields, and opens what it leads to. */
  async submit(page: Answer, action: string, fields: Fields = {}): Promise<Answer> {
    const answer = await this.sendForm(page, action, fields)
    return answer.status === 303 ? this.open(answer.headers.location ?? '') : answer
  }

  /** The same, and says yes to what is asked then. */
  async submitConfirmed(page: Answer, action: string, fields: Fields = {}): Promise<Answer> {
    const question = await this.submit(page, action, fields)
    const isAsked = formsOf(question).some(form => form.action === action && form.hidden.confirmed === '1')
    if (!isAsked) throw new Error(`Nothing is asked after ${action}: ${textOf(question)}`)
    return this.submit(question, action)
  }

  /** Sends a form of a page with its hidden fields, or with others in their place. */
  sendForm(page: Answer, action: string, fields: Fields = {}, headers: Record<string, string> = {}) {
    const form = formsOf(page).find(one => one.action === action)
    if (form === undefined) throw new Error(`The page has no form for ${action}: ${page.text}`)
    return this.post(action, { ...form.hidden, ...fields }, { headers })
  }

  /** Sends fields as a form does, without a page. */
  override post(path: string, fields: Fields = {}, { headers }: { headers?: Record<string, string> } = {}) {
    return this.bare('POST', path, {
      payload: encode(fields),
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    })
  }

  /** The token that forms of its session carry. */
  async csrfToken(): Promise<string> {
    return formsOf(await this.open('/admin'))[0]?.hidden._token ?? ''
  }

  override async logIn({ email, password }: { email: string; password: string }): Promise<Answer> {
    return this.submit(await this.open('/admin/login'), '/admin/login', { email, password })
  }
}

/** The password of those who use the panel in tests. */
export const PASSWORD = 'Correct horse 1'

/** A user on the panel, who has confirmed the password if that is wanted. */
export async function panelUser(
  app: FastifyInstance,
  database: TestDatabase,
  { confirmed = false, ...options }: { roles?: string[]; permissions?: string[]; confirmed?: boolean } = {},
) {
  const user = { ...(await addUser(database, { password: PASSWORD, ...options })), password: PASSWORD }
  const browser = new PanelBrowser(app)
  await browser.logIn(user)
  if (confirmed) await browser.send('POST', '/user/confirm-password', { payload: { password: PASSWORD } })
  return { user, browser }
}

function encode(fields: Fields): string {
  const pairs = Object.entries(fields).flatMap(([name, value]) => [value].flat().map(text => [name, text]))
  return String(new URLSearchParams(pairs as string[][]))
}

/** The forms of a page that change something, with their hidden fields. */
export const formsOf = ({ text }: Answer) =>
  [...text.matchAll(/<form method="post" action="([^"]+)"[^>]*>(.*?)<\/form>/gs)].map(
    ([, action, inner = '']) => ({
      action,
      hidden: Object.fromEntries(
        [...inner.matchAll(/<input type="hidden" name="([^"]+)" value(?:="([^"]*)")?/g)].map(
          ([, name, value]) => [unescaped(name ?? ''), unescaped(value ?? '')],
        ),
      ),
    }),
  )

/** What a page says to people: its text, without tags. */
export const textOf = ({ text }: Answer): string =>
  unescaped(text.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' '))

const unescaped = (text: string): string =>
  text.replaceAll('&lt;', '<').replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&amp;', '&')
