import type { FastifyInstance, InjectOptions } from 'fastify'
import type { Test } from 'tap'
import { buildApp } from '#src/app.ts'
import { hashPassword, type PasswordWork, verifyPassword } from '#src/auth/password.ts'
import { loadConfig } from '#src/config/load.ts'
import type { Database } from '#src/database/connect.ts'
import { deleteToken } from '#src/database/token-endings.ts'
import { type TestClock, testClock } from '../fixtures/clock.ts'
import { Mailbox } from '../fixtures/mailbox.ts'
import { TEST_ROUNDS } from '../fixtures/users.ts'
import { checkAnswers } from './documented-answers.ts'

/** An application key for tests only. */
export const TEST_KEY = 'base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8='

export interface TestApp extends FastifyInstance {
  clock: TestClock
  /** What was logged. */
  logged: Record<string, unknown>[]
  /** The mails that were sent. */
  mailbox: Mailbox
}

export interface TestAppOptions {
  database: Database
  environment?: Record<string, string>
  clock?: TestClock
  /** What durations are measured by; the same clock unless given. */
  monotonic?: TestClock
  /** What waits for some milliseconds; nothing waits unless given. */
  delay?: (ms: number) => Promise<unknown>
  /**
   * What checks and hashes passwords: this thread unless given, since threads for each app take long to start; null for
   * the server's own threads.
   */
  passwordWork?: PasswordWork | null
  /** Whether attempts that were counted before it starts still count, as they do in production; they do not unless given. */
  keepsAttempts?: boolean
  /** Whether mails go to a mailbox of the test's, which they do unless MAIL_URL is set. */
  mailbox?: boolean
  /** Adds routes before the server starts. */
  routes?: (app: FastifyInstance) => void
}

/** Checks and hashes passwords in this thread. */
export const passwordWorkHere: PasswordWork = {
  verify: async (password, hash) => verifyPassword(password, hash),
  hash: hashPassword,
}

/** A server on a database that outlives it, with a log to look into. It is closed with the test. */
export async function startApp(
  t: Test,
  {
    database,
    environment = {},
    clock = testClock(),
    monotonic = clock,
    delay = async () => {},
    passwordWork = passwordWorkHere,
    keepsAttempts = false,
    mailbox: hasMailbox = environment.MAIL_URL === undefined,
    routes,
  }: TestAppOptions,
): Promise<TestApp> {
  // Tests of a file share a database and its moment: their logins are not to add up. A database that does not answer
  // counts nothing.
  if (!keepsAttempts) await forgetAttempts(database).catch(() => {})
  const logged: Record<string, unknown>[] = []
  const mailbox = new Mailbox()
  const app = buildApp({
    config: loadConfig({
      LOG_LEVEL: 'trace',
      APP_KEY: TEST_KEY,
      ...(environment.APP_ENV !== 'production' && { HASH_ROUNDS: String(TEST_ROUNDS) }),
      ...environment,
    }),
    database: { ...database, close: async () => {} },
    clock,
    monotonic,
    schedule: monotonic.schedule,
    delay,
    ...(passwordWork && { passwordWork }),
    ...(hasMailbox && { deliverMail: mailbox.deliver }),
    logStream: { write: line => logged.push(JSON.parse(line)) },
  })
  const requireDocumented = checkAnswers(app)
  if (routes) app.register(async scope => routes(scope))
  t.teardown(async () => {
    await app.close()
    await requireDocumented()
  })
  await app.ready()
  return Object.assign(app, { logged, mailbox }) as TestApp
}

const forgetAttempts = ({ kysely }: Pick<Database, 'kysely'>) => kysely.deleteFrom('attempt_counts').execute()

/** Does something each time that a password or a code was verified, before anything comes of it. */
export function afterVerifying(app: FastifyInstance, act: () => Promise<unknown>): void {
  const { verifySecret } = app.attempts
  app.attempts.verifySecret = async (...call) => {
    const isRight = await verifySecret(...call)
    await act()
    return isRight
  }
}

/** Adds a route that revokes a token, for a test of what that means to others. */
export function addRevocation(app: FastifyInstance, { kysely }: Pick<Database, 'kysely'>) {
  app.delete<{ Params: { id: string } }>(
    '/tokens/:id',
    { config: { access: { auth: 'none' } } },
    async (request, reply) => {
      await deleteToken(kysely, request.params.id)
      return reply.code(204).send()
    },
  )
}

/** What a client sees of an answer. */
export interface Answer {
  status: number
  headers: Record<string, string>
  /** The `Set-Cookie` headers. */
  setCookies: string[]
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  json: any
  text: string
}

type Request = Omit<InjectOptions, 'headers'> & { headers?: Record<string, string> }

/** Sends a request and returns the answer. */
export async function send(
  app: FastifyInstance,
  method: string,
  url: string,
  request: Request = {},
): Promise<Answer> {
  const response = await app.inject({ method: method as 'GET', url, ...request } as InjectOptions)
  return {
    status: response.statusCode,
    headers: response.headers as Record<string, string>,
    setCookies: [response.headers['set-cookie'] ?? []].flat(),
    json:
      /json/.test(String(response.headers['content-type'])) && response.body ? response.json() : undefined,
    text: response.body,
  }
}

/** GET, with a bearer token if one is given. */
export const get = (
  app: FastifyInstance,
  url: string,
  token?: string,
  headers: Record<string, string> = {},
) => send(app, 'GET', url, { headers: { ...(token && { authorization: `Bearer ${token}` }), ...headers } })
