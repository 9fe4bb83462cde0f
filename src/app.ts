import { randomBytes, randomUUID } from 'node:crypto'
import type { IncomingMessage, RequestListener } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delayFor } from 'node:timers/promises'
import autoload from '@fastify/autoload'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify, { type FastifyInstance, LogController } from 'fastify'
import { type DestinationStream, pino } from 'pino'
import { createFirstParty, type FirstParty } from '#src/auth/origin.ts'
import type { PasswordWork } from '#src/auth/password.ts'
import type { Config } from '#src/config/config.ts'
import { PANEL_PATH } from '#src/config/paths.ts'
import { basePath } from '#src/config/public-url.ts'
import type { Database } from '#src/database/connect.ts'
import { type LogOutage, outageLog } from '#src/database/outages.ts'
import { createClientErrorHandler } from '#src/http/client-error.ts'
import { type CorsHeaders, createCorsHeaders } from '#src/http/cors-headers.ts'
import { createDrain, type Drain } from '#src/http/drain.ts'
import { formatFixedHeaders } from '#src/http/fixed-headers.ts'
import { createForwardedReader } from '#src/http/forwarded.ts'
import { withForwardedHeader } from '#src/http/forwarded-header.ts'
import { createFrameworkErrorHandler } from '#src/http/framework-error.ts'
import { createGate, type Gate } from '#src/http/gate.ts'
import { serializeJson } from '#src/http/json-text.ts'
import { loggerOptions } from '#src/http/logger.ts'
import { withMethodOverride } from '#src/http/method-override.ts'
import { type Admission, createAdmission, withAdmission } from '#src/http/overload.ts'
import { ROUTER_OPTIONS } from '#src/http/request.ts'
import { createRequestEnds } from '#src/http/request-end.ts'
import { withOriginForm, withoutBasePath } from '#src/http/request-target.ts'
import { createResponseClass, identifyRequest } from '#src/http/response.ts'
import { commonHeaders } from '#src/http/security-headers.ts'
import { createHttpServer } from '#src/http/server.ts'
import { lazyValidators } from '#src/http/validators.ts'
import type { Deliver } from '#src/mail/mailer.ts'
import { BODY_LIMIT_BYTES } from '#src/responses/errors.ts'
import { type Schedule, scheduleTimer } from '#src/runtime/schedule.ts'
import type { Bytes, EpochMillis, Millis, MonotonicMillis } from '#src/runtime/units.ts'
import { pipeline } from './pipeline.ts'

declare module 'fastify' {
  interface FastifyInstance {
    config: Config
    database: Database
    /** The origins whose browsers get a session. */
    firstParty: FirstParty
    /** The CORS headers of a response. */
    corsHeaders: CorsHeaders
    /** Checks of a request's head that run before routing. */
    gate: Gate
    clock: () => EpochMillis
    /** For durations, which must not change when the system clock is set. */
    monotonic: () => MonotonicMillis
    /** Runs a function after a delay. */
    schedule: Schedule
    /** Starts, queues or sheds requests. */
    admission: Admission
    /** Logs an outage of the database, throttled. Returns whether the error is one. */
    noteOutage: LogOutage
    /** Drains connections before the server is closed. */
    drain: Drain
    /** Returns cryptographically random bytes. */
    random: (size: Bytes) => Buffer
    delay: (ms: Millis) => Promise<unknown>
    /** Delivers mails instead of MAIL_URL; null to use MAIL_URL. */
    deliverMail: Deliver | null
    /** The output of the log. */
    logStream: LogStream
    /** Verifies and hashes passwords instead of worker threads; null to use worker threads. */
    passwordWork: PasswordWork | null
  }
}

/** Takes the lines of the log, each with its line feed. */
interface LogStream {
  write(line: string): void
}

export interface AppOptions {
  config: Config
  database: Database
  clock?: () => EpochMillis
  monotonic?: () => MonotonicMillis
  schedule?: Schedule
  random?: (size: Bytes) => Buffer
  delay?: (ms: Millis) => Promise<unknown>
  /** Delivers mails. MAIL_URL by default. */
  deliverMail?: Deliver
  /** Verifies and hashes passwords. Worker threads by default. */
  passwordWork?: PasswordWork
  /** The output of the log. Standard output by default. */
  logStream?: LogStream
}

/** The timeout for loading a plugin. Long, since machines may be busy. */
const START_TIMEOUT_MS: Millis = 120_000

/**
 * Builds the server without listening. Plugins and routes are loaded by the first `ready()`, `inject()` or `listen()`.
 * Closing the server closes the database.
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
  logStream = process.stdout,
}: AppOptions): FastifyInstance {
  const headers = commonHeaders(config)
  const forwarded = createForwardedReader(config.trustedProxies)
  const readForwarded = (handle: RequestListener) =>
    config.forwardedHeader === 'forwarded' ? withForwardedHeader(handle) : handle
  const firstParty = createFirstParty(config.statefulDomains, config.appUrl)
  const corsHeaders = createCorsHeaders(firstParty, config.corsAllowedOrigins)
  const gate = createGate(config, forwarded, monotonic)
  const admission = createAdmission({ monotonic })
  const drain = createDrain({ schedule, monotonic })
  const requestEnds = createRequestEnds(monotonic)
  const Response = createResponseClass({
    tracker: drain,
    fixedHeaders: formatFixedHeaders(headers),
    onWritten: requestEnds.written,
    onClosed: requestEnds.closed,
    monotonic,
  })
  const app = fastify({
    // Fastify would create a logger and add two listeners for each request: see src/http/request-state.ts.
    logger: false,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: request => identifyRequest(request as IncomingMessage, randomUUID()),
    requestIdHeader: false,
    trustProxy: forwarded.trustProxy,
    bodyLimit: BODY_LIMIT_BYTES,
    // Wraps Fastify's handler with the layers that run before its router.
    serverFactory: handle =>
      createHttpServer(
        {
          requestTimeoutMs: config.requestTimeout * 1_000,
          keepAliveTimeoutMs: config.keepAliveTimeout * 1_000,
        },
        { drain, Response },
        readForwarded(
          withOriginForm(
            withoutBasePath(
              withAdmission(
                admission,
                { corsHeaders, hostOf: forwarded.hostOf, admits: gate.admits, monotonic, schedule },
                withMethodOverride(handle, { admits: gate.admits, schedule }),
              ),
              basePath(config.appUrl),
            ),
          ),
        ),
      ),
    pluginTimeout: START_TIMEOUT_MS,
    routerOptions: ROUTER_OPTIONS,
    // Laravel reports all validation errors at once. The work is bounded, since bodies are.
    ajv: { customOptions: { allErrors: true, coerceTypes: false, verbose: true } },
    schemaController: { compilersFactory: { buildValidator: lazyValidators } },
    clientErrorHandler: createClientErrorHandler(headers, corsHeaders),
    frameworkErrors: createFrameworkErrorHandler({ headers, corsHeaders, gate, clock }),
  }).withTypeProvider<TypeBoxTypeProvider>()
  app.log = pino(loggerOptions(config.logLevel), logStream as DestinationStream)

  // Response schemas are documentation only. Compiling a serializer from each would add seconds to every start.
  app.setSerializerCompiler(() => JSON.stringify)
  app.setReplySerializer(serializeJson)

  app.decorate('config', config)
  app.decorate('database', database)
  app.decorate('clock', clock)
  app.decorate('firstParty', firstParty)
  app.decorate('corsHeaders', corsHeaders)
  app.decorate('gate', gate)
  app.decorate('monotonic', monotonic)
  app.decorate('schedule', schedule)
  app.decorate('admission', admission)
  app.decorate('drain', drain)
  app.decorate('requestEnds', requestEnds)
  app.decorate('noteOutage', outageLog(schedule, app.log))
  app.decorate('random', random)
  app.decorate('delay', delay)
  app.decorate('deliverMail', deliverMail ?? null)
  app.decorate('passwordWork', passwordWork ?? null)
  app.decorate('logStream', logStream)

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
      // A folder `_name` becomes the path parameter `:name`.
      await scope.register(autoload, { dir: join(root, folder), options: { prefix }, routeParams: true })
    })
  }
  return app
}
