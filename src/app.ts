import { randomBytes, randomUUID } from 'node:crypto'
import { createServer, type RequestListener, type Server } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delayFor } from 'node:timers/promises'
import autoload from '@fastify/autoload'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import { BODY_LIMIT_BYTES, tooManyRequests } from '#src/answers/errors.ts'
import type { PasswordWork } from '#src/auth/password.ts'
import { type Config, PANEL_PATH } from '#src/config/config.ts'
import type { Database } from '#src/database/connect.ts'
import { type NoteOutage, outages } from '#src/database/outages.ts'
import { type Drain, drain } from '#src/http/drain.ts'
import { forwardedBy } from '#src/http/forwarded.ts'
import { type Gate, requestGate } from '#src/http/gate.ts'
import {
  isUnderWay,
  loggerOptions,
  onClientError,
  ROUTER_OPTIONS,
  securityHeaders,
  toHttpError,
} from '#src/http/http.ts'
import { withMethodOverride } from '#src/http/method-override.ts'
import { type Admission, admission, withAdmission } from '#src/http/overload.ts'
import { requestLogger } from '#src/http/request-logger.ts'
import { withOriginForm } from '#src/http/request-target.ts'
import { lazyValidators } from '#src/http/validators.ts'
import type { Deliver } from '#src/mail/mailer.ts'
import { type Schedule, scheduleTimer } from '#src/runtime/schedule.ts'
import { pipeline } from './pipeline.ts'

declare module 'fastify' {
  interface FastifyInstance {
    config: Config
    database: Database
    /** What is decided by the head of a request. */
    gate: Gate
    /** Milliseconds since the epoch. */
    clock: () => number
    /** Milliseconds since a moment that does not change: for durations, which go on when the clock is set. */
    monotonic: () => number
    /** Does something once some milliseconds have passed. */
    schedule: Schedule
    /** Which requests are begun, and when. */
    admission: Admission
    /** Has an outage of the database logged now and then, whoever notices it. */
    noteOutage: NoteOutage
    /** Ends the service of requests before the server is closed. */
    drain: Drain
    /** That many random bytes. */
    random: (size: number) => Buffer
    /** Waits for some milliseconds. */
    delay: (ms: number) => Promise<unknown>
    /** Brings mails on their way, if not MAIL_URL does. */
    deliverMail: Deliver | null
    /** Checks and hashes passwords, if not threads of the server's own do. */
    passwordWork: PasswordWork | null
  }
}

export interface AppOptions {
  config: Config
  database: Database
  clock?: () => number
  monotonic?: () => number
  schedule?: Schedule
  random?: (size: number) => Buffer
  delay?: (ms: number) => Promise<unknown>
  /** Brings mails on their way; MAIL_URL does unless given. */
  deliverMail?: Deliver
  /** Checks and hashes passwords; threads of the server's own do unless given. */
  passwordWork?: PasswordWork
  /** Where the log goes; standard output unless given. */
  logStream?: { write(line: string): void }
}

/** The longest that a client may take to send a request, its head included, in milliseconds. */
const RECEIVE_MS = 30_000

/** Node's limits of time for connections. REQUEST_TIMEOUT may be shorter than what a client may take to send. */
const timeouts = (requestTimeoutMs: number) => ({
  headersTimeout: receiveMs(requestTimeoutMs),
  requestTimeout: receiveMs(requestTimeoutMs),
  // Node looks every half minute unless told otherwise, and would end a slow client after a minute.
  connectionsCheckingInterval: CHECK_MS,
  // Proxies keep a connection for a minute: it has to be they who close it.
  keepAliveTimeout: 72_000,
})

/** How often Node looks for clients that send their requests slowly, in milliseconds. */
const CHECK_MS = 1_000

const receiveMs = (requestTimeoutMs: number) => Math.min(RECEIVE_MS, requestTimeoutMs)

/**
 * Fastify's own server, which also closes connections on which nothing was sent or received for longer than a request
 * and the reading of its answer may take: a client that reads nothing (slow read attack) would keep whole answers in
 * memory for as long as it likes.
 */
function httpServer(requestTimeoutMs: number, drain: Drain, handle: RequestListener): Server {
  const server = createServer({ ...timeouts(requestTimeoutMs), ServerResponse: drain.ServerResponse }, handle)
  drain.watch(server)
  // Slow requests are looked for before that: they are answered with 408.
  server.timeout = requestTimeoutMs + receiveMs(requestTimeoutMs) + CHECK_MS
  return server
}

/** The longest that a part of the server may take to load, in milliseconds: a busy machine takes its time. */
const START_TIMEOUT_MS = 120_000

/**
 * The server, complete but not listening: plugins/ and then routes/ are loaded by the first `ready()`,
 * `inject()` or `listen()`. The database is closed with it.
 */
export function buildApp({
  config,
  database,
  clock = Date.now,
  monotonic = () => performance.now(),
  schedule = scheduleTimer,
  random = randomBytes,
  delay = delayFor,
  deliverMail,
  passwordWork,
  logStream,
}: AppOptions): FastifyInstance {
  const headers = securityHeaders(config)
  const forwarded = forwardedBy(config.trustedProxies)
  const gate = requestGate(config, forwarded, monotonic)
  const admissions = admission({ monotonic })
  const draining = drain({ schedule, monotonic })
  const app = fastify({
    logger: loggerOptions(config.logLevel, logStream),
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: requestLogger,
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    trustProxy: forwarded.trustProxy,
    bodyLimit: BODY_LIMIT_BYTES,
    // With what comes before Fastify's router.
    serverFactory: handle =>
      httpServer(
        config.requestTimeout * 1_000,
        draining,
        withOriginForm(
          withAdmission(
            admissions,
            { headers, admits: gate.admits, monotonic, schedule },
            withMethodOverride(handle, { admits: gate.admits, schedule }),
          ),
        ),
      ),
    pluginTimeout: START_TIMEOUT_MS,
    routerOptions: ROUTER_OPTIONS,
    // Laravel tells of every fault at once; bodies are bounded, and so is the work.
    ajv: { customOptions: { allErrors: true, coerceTypes: false, verbose: true } },
    schemaController: { compilersFactory: { buildValidator: lazyValidators } },
    clientErrorHandler: onClientError,
    frameworkErrors: answerFrameworkError({ headers, gate, clock }),
  }).withTypeProvider<TypeBoxTypeProvider>()

  // Schemas of answers describe them. What is in an answer was chosen by then, and a serializer made of each schema
  // would take seconds of every start.
  app.setSerializerCompiler(() => JSON.stringify)

  app.decorate('config', config)
  app.decorate('database', database)
  app.decorate('clock', clock)
  app.decorate('gate', gate)
  app.decorate('monotonic', monotonic)
  app.decorate('schedule', schedule)
  app.decorate('admission', admissions)
  app.decorate('drain', draining)
  app.decorate('noteOutage', outages(schedule, app.log))
  app.decorate('random', random)
  app.decorate('delay', delay)
  app.decorate('deliverMail', deliverMail ?? null)
  app.decorate('passwordWork', passwordWork ?? null)

  const root = join(import.meta.dirname, '..')
  app.register(pipeline)
  app.register(autoload, { dir: join(root, 'routes/system') })
  for (const [folder, prefix, area] of [
    ['routes/api', config.apiPath, 'isApi'],
    ['routes/web', config.authPath, 'isWeb'],
    ['routes/sanctum', '/sanctum', 'isWeb'],
    ['routes/admin', PANEL_PATH, 'isPanel'],
  ] as const) {
    app.register(async scope => {
      scope.decorate('area', area)
      // A folder `_name` is a parameter of the path.
      await scope.register(autoload, { dir: join(root, folder), options: { prefix }, routeParams: true })
    })
  }
  return app
}

/** Answers what no hook sees, such as a path that cannot be decoded. It counts for its address all the same. */
const answerFrameworkError =
  ({ headers, gate, clock }: { headers: Record<string, string>; gate: Gate; clock: () => number }) =>
  (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
    const { raw } = request
    const over = gate.count(raw, gate.clientOf(raw))
    const answer = over === null ? toHttpError(error) : tooManyRequests(over, clock())
    if (over !== null) request.server.metrics.rateLimited('ceiling')
    request.log.info(
      { method: request.method, status: answer.statusCode, address: gate.clientOf(raw).ip },
      'a request without a route',
    )
    reply
      .code(answer.statusCode)
      .headers({ ...headers, vary: 'Origin', 'x-request-id': request.id, ...answer.headers })
      .headers(isUnderWay(raw) ? { connection: 'close' } : {})
      .send(answer.body)
  }
