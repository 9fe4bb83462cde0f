import { randomBytes } from 'node:crypto'
import type { FastifyInstance, InjectOptions } from 'fastify'
import type { Test } from 'tap'
import { buildApp } from '#src/app.ts'
import { hashPassword, type PasswordHash, type PasswordWork, verifyPassword } from '#src/auth/password.ts'
import { mintSecret, PlainToken } from '#src/auth/token.ts'
import { loadConfig } from '#src/config/load.ts'
import type { Database } from '#src/database/connect.ts'
import { grant } from '#src/database/permissions.ts'
import { deleteToken } from '#src/database/token-endings.ts'
import { insertToken } from '#src/database/tokens.ts'
import { insertUser } from '#src/database/users.ts'
import type { Schedule } from '#src/runtime/schedule.ts'
import { Mailbox } from './mailbox.ts'

/** The moment at which tests begin, 2026-03-01T12:00:00Z in milliseconds. Nothing moves it but the test. */
export const NOW = Date.UTC(2026, 2, 1, 12)

/** An application key of nobody's. */
export const TEST_KEY = 'base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8='

export const MINUTE = 60_000
export const DAY = 86_400_000

export const USER_TYPE = 'App\\Models\\Auth\\User'
const USER_TYPES = [USER_TYPE, 'App\\Models\\User'] as const

/** A clock that a test turns forward. */
export interface TestClock {
  (): number
  /** Does what is due by then, too, at its moment each. */
  advance(ms: number): void
  /** Has something done once the clock was advanced so far. */
  schedule: Schedule
}

export function testClock(start = NOW): TestClock {
  let now = start
  const due = new Set<{ at: number; act: () => void }>()
  return Object.assign(() => now, {
    advance(ms: number) {
      const end = now + ms
      for (;;) {
        const next = [...due].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
        if (next === undefined) break
        due.delete(next)
        now = Math.max(now, next.at)
        next.act()
      }
      now = end
    },
    schedule(ms: number, act: () => void) {
      const one = { at: now + ms, act }
      due.add(one)
      return () => due.delete(one)
    },
  })
}

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
  if (routes) app.register(async scope => routes(scope))
  t.teardown(() => app.close())
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

/** What nobody means who fills in a field. */
export const ODD_VALUES: readonly unknown[] = [
  1,
  true,
  ['x'],
  [['x']],
  { a: 'x' },
  [{}],
  null,
  '',
  '\0',
  '\ud800',
  -1,
  1e300,
  'x'.repeat(5000),
]

/** Somebody of whom it does not matter who it is. */
export interface TestUser {
  id: number
  name: string
  email: string
  /** A token without end. */
  token: string
  tokenId: number
}

/** bcrypt's least work, for passwords that nobody has to keep. */
export const TEST_ROUNDS = 4

/** Adds a user with the named permissions, a token, and a password if it is to have one. */
export async function addUser(
  { kysely }: Database,
  {
    permissions = [],
    roles = [],
    verified = true,
    password,
  }: { permissions?: string[]; roles?: string[]; verified?: boolean; password?: string } = {},
): Promise<TestUser> {
  const name = `user-${randomBytes(5).toString('hex')}`
  const email = `${name}@example.org`
  const hash = password === undefined ? ('!' as PasswordHash) : await hashPassword(password, TEST_ROUNDS)
  const id = await insertUser(kysely, { name, email, password: hash, verified, now: NOW })
  const holder = { userId: id, types: USER_TYPES }
  await grant(kysely, 'permission', holder, permissions)
  await grant(kysely, 'role', holder, roles)
  const { tokenId, token } = await addToken({ kysely }, id)
  return { id, name, email, token, tokenId }
}

/** Adds a token for a user. Times are milliseconds since the epoch. */
export async function addToken(
  { kysely }: Pick<Database, 'kysely'>,
  userId: number,
  {
    expiresAt = null,
    createdAt = NOW,
    userType = USER_TYPE,
    abilities = ['*'],
  }: {
    expiresAt?: number | null
    createdAt?: number
    userType?: string
    abilities?: string[]
  } = {},
): Promise<{ tokenId: number; token: string; secret: string }> {
  const secret = mintSecret('', randomBytes)
  const tokenId = await insertToken(kysely, {
    userId,
    userType,
    name: 'test',
    digest: secret.digest(),
    abilities,
    expiresAt,
    now: createdAt,
  })
  return { tokenId, token: new PlainToken(tokenId, secret).reveal(), secret: secret.reveal() }
}
