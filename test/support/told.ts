import type { Test } from 'tap'
import { addUser, startApp, type TestApp, type TestAppOptions, type TestUser } from './app.ts'
import { SPA, TestBrowser } from './browser.ts'
import type { TestDatabase } from './databases.ts'
import { type MailServer, startMailServer } from './mail-server.ts'

export const PASSWORD = 'Correct horse 1'

export const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
export const NEWER_FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0'
export const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36'

export const UNLIMITED = {
  LOGIN_RATE_LIMIT: '1000',
  REGISTER_RATE_LIMIT: '1000',
  CONFIRM_PASSWORD_RATE_LIMIT: '1000',
  FORGOT_PASSWORD_RATE_LIMIT: '1000',
  TWO_FACTOR_RATE_LIMIT: '1000',
  RATE_LIMIT_ANONYMOUS: '1000',
  RATE_LIMIT_AUTHENTICATED: '1000',
}

/** A server whose mails go to an SMTP server of the test's, behind a proxy that names its clients. */
export async function startMailing(
  t: Test,
  database: TestDatabase,
  {
    environment = {},
    mails,
    ...options
  }: Omit<TestAppOptions, 'database'> & { mails?: MailServer; environment?: Record<string, string> } = {},
): Promise<{ app: TestApp; mails: MailServer }> {
  const server = mails ?? (await startMailServer(t))
  const app = await startApp(t, {
    database,
    environment: {
      ...UNLIMITED,
      MAIL_URL: server.url,
      MAIL_FROM: 'AnimeThemes <no-reply@example.org>',
      FRONTEND_URL: SPA,
      TRUSTED_PROXIES: 'loopback',
      ...environment,
    },
    ...options,
  })
  return { app, mails: server }
}

/** A browser of a kind, somewhere. */
export const browserAt = (app: TestApp, userAgent: string, address: string): TestBrowser =>
  new TestBrowser(app, { referer: `${SPA}/`, 'user-agent': userAgent, 'x-forwarded-for': address })

/** A user with a password. */
export const someUser = async (
  database: TestDatabase,
  options: { verified?: boolean; permissions?: string[] } = {},
): Promise<TestUser & { password: string }> => ({
  ...(await addUser(database, { password: PASSWORD, ...options })),
  password: PASSWORD,
})
