import { randomBytes, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as delayFor } from 'node:timers/promises'
import autoload from '@fastify/autoload'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify, { type FastifyInstance, LogController } from 'fastify'
import type { PasswordWork } from '#src/auth/password.ts'
import type { Config } from '#src/config/config.ts'
import { PANEL_PATH } from '#src/config/paths.ts'
import type { Database } from '#src/database/connect.ts'
import { type NoteOutage, outages } from '#src/database/outages.ts'
import { onClientError } from '#src/http/client-error.ts'
import { type Drain, drain } from '#src/http/drain.ts'
import { forwardedBy } from '#src/http/forwarded.ts'
import { answerFrameworkError } from '#src/http/framework-error.ts'
import { type Gate, requestGate } from '#src/http/gate.ts'
import { loggerOptions } from '#src/http/logger.ts'
import { withMethodOverride } from '#src/http/method-override.ts'
import { type Admission, admission, withAdmission } from '#src/http/overload.ts'
import { ROUTER_OPTIONS } from '#src/http/request.ts'
import { requestLogger } from '#src/http/request-logger.ts'
import { withOriginForm } from '#src/http/request-target.ts'
import { securityHeaders } from '#src/http/security-headers.ts'
import { httpServer } from '#src/http/server.ts'
import { lazyValidators } from '#src/http/validators.ts'
import type { Deliver } from '#src/mail/mailer.ts'
import { BODY_LIMIT_BYTES } from '#src/responses/errors.ts'
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
