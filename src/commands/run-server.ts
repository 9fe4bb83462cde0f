import { setTimeout as delay } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'
import { buildApp } from '#src/app.ts'
import type { Config } from '#src/config/config.ts'
import { configWarnings } from '#src/config/warnings.ts'
import { measureClockSkew } from '#src/database/clock-skew.ts'
import { connectDatabase } from '#src/database/connect.ts'
import { migrate } from '#src/database/migrate.ts'
import { hasPermissions, seedPermissions } from '#src/database/permissions.ts'
import { findOtherSettings } from '#src/database/session-settings.ts'
import { DatabaseUnavailable } from '#src/database/unavailable.ts'
import { ambiguityWarning } from '#src/database/unique-names.ts'
import { LogOutput } from '#src/http/log-output.ts'
import { scheduleTimer } from '#src/runtime/schedule.ts'
import type { Millis } from '#src/runtime/units.ts'
import { type CommandContext, CommandError } from './context.ts'
import type { ShownDemoAccess } from './demo-access.ts'
import { addDemo } from './seed.ts'

/** How long active requests may take after the signal, and then the other steps of the shutdown. */
const GRACE_MS: Millis = 10_000
const CLOSE_MS: Millis = 5_000
const FLUSH_MS: Millis = 1_000

const RETRY_MS: Millis = 2_000

/**
 * The queue of connections to accept; Linux limits it to net.core.somaxconn, 4096. Node's default of 511 overflows
 * when a thousand clients connect at once; the rest retries after one second and then after three.
 */
const BACKLOG = 4_096

/**
 * Runs the server until it receives a signal.
 *
 * @throws {CommandError} if it cannot listen
 */
export async function runServer(context: CommandContext, config: Config): Promise<void> {
  let app: FastifyInstance | undefined
  const database = connectDatabase(config, {
    command: 'serve',
    share: false,
    onLostConnection: error => app?.noteOutage(new DatabaseUnavailable(error)),
  })
  await database.open()
  // Through process.stdout, which makes a pipe non-blocking.
  const log: LogOutput = new LogOutput(process.stdout.fd, scheduleTimer, count =>
    app?.log.warn({ count }, 'log lines were dropped, because their reader did not keep up'),
  )
  process.once('exit', () => log.flushSync())
  const server = buildApp({
    config,
    database,
    clock: context.clock,
    random: context.random,
    logStream: log,
  })
  app = server
  for (const warning of configWarnings(config, context.environment)) server.log.warn(warning)

  const stopped = new AbortController()
  const delayMs = config.shutdownDelay * 1_000
  const grace = closeWithGrace(
    {
      delay: delayMs + GRACE_MS + CLOSE_MS + FLUSH_MS,
      logger: { error: error => server.log.error(error) },
    },
    async ({ err, signal }) => {
      if (err) server.log.fatal({ err }, 'stopping after an unhandled error')
      else server.log.info({ signal }, 'stopping')
      stopped.abort()
      await stop(server, err ? 0 : delayMs)
      await Promise.race([log.flush(), delay(FLUSH_MS)])
    },
  )

  context.handleSignals?.()

  try {
    await listen(server)
    await migrateWhenPossible(server, stopped.signal)
    if (stopped.signal.aborted) return
    // It may take long. Until it has finished, names and addresses are compared only without regard to case.
    void server.fillUserKeys()
    await warnOfSkew(server)
    await warnOfSettings(server)
    const demo = await seedWhenNew(server)
    if (config.appEnv === 'local') for (const line of welcomeLines(server, demo)) log.write(`${line}\n`)
  } catch (error) {
    // The database was closed by the shutdown, which causes the error.
    if (stopped.signal.aborted) return
    // Otherwise closeWithGrace would end the process with status 0.
    grace.uninstall()
    await server.close()
    throw error
  }
}

/** Closes the server after active requests have finished or the grace period has passed. */
async function stop(server: FastifyInstance, delayMs: number) {
  server.drain.begin()
  if (delayMs > 0) await delay(delayMs)
  const connections = await server.drain.finish(GRACE_MS)
  if (connections > 0) {
    server.log.warn(
      { connections },
      `connections were closed, because they did not end within ${GRACE_MS / 1_000} s`,
    )
  }
  await server.close()
}

/** The clock difference between this machine and the database that is logged. */
const MAX_SKEW_MS: Millis = 5_000

/** Instances share windows of limits in the database: a clock that is ahead ends windows that other instances began. */
async function warnOfSkew({ database, clock, monotonic, log }: FastifyInstance) {
  const skew = await measureClockSkew(database.kysely, clock, monotonic)
  if (Math.abs(skew) <= MAX_SKEW_MS) return
  const seconds = Math.round(Math.abs(skew) / 1_000)
  log.warn(
    `this machine's clock is ${seconds} s ${skew > 0 ? 'ahead of' : 'behind'} the database's: synchronize both by NTP, because attempt limits depend on them`,
  )
}

/** A pooler may keep the server from stating the settings that it relies on. */
async function warnOfSettings({ config, database, log }: FastifyInstance) {
  if (config.databaseUrl === null) return
  for (const setting of await findOtherSettings(database.kysely)) {
    log.warn(`the database needs ${setting}, which the pooler does not pass on: alter role … set ${setting}`)
  }
}

/** Explanations of failures to listen. */
const LISTEN_ERRORS: Record<string, (host: string, name: string, port: number) => string> = {
  EADDRINUSE: (host, name, port) =>
    `${name}=${port}: ${host}:${port} is in use. Stop the program that uses it, or choose another port.`,
  EACCES: (_host, name, port) =>
    `${name}=${port}: this user may not listen on that port. Choose one above 1023.`,
  EADDRNOTAVAIL: host => `HOST=${host}: this machine has no such address.`,
  ENOTFOUND: host => `HOST=${host}: no address has this name.`,
}

async function listen(app: FastifyInstance) {
  const { host, port, metricsPort } = app.config
  await explainListenErrors(host, 'PORT', port, () => app.listen({ host, port, backlog: BACKLOG }))
  if (metricsPort !== null)
    await explainListenErrors(host, 'METRICS_PORT', metricsPort, () => app.listenForMetrics())
}

async function explainListenErrors(host: string, name: string, port: number, listen: () => Promise<unknown>) {
  try {
    await listen()
  } catch (error) {
    const explain = LISTEN_ERRORS[(error as NodeJS.ErrnoException).code ?? '']
    throw explain ? new CommandError(explain(host, name, port)) : error
  }
}

/**
 * Adds roles, permissions and demo data to a new embedded database. A PostgreSQL server is not seeded, because an
 * import from Laravel could follow and would collide.
 */
async function seedWhenNew({
  config,
  database,
  log,
  clock,
  random,
}: FastifyInstance): Promise<ShownDemoAccess | null> {
  if (await hasPermissions(database.kysely)) return null
  if (config.databaseUrl !== null) {
    log.warn('there are no permissions in the database: run the command "seed" once')
    return null
  }
  // In one transaction, so that a killed process does not leave permissions without demo data, which would never be
  // added.
  return database.kysely.transaction().execute(async transaction => {
    await seedPermissions(transaction, clock())
    return addDemo(transaction, config, { clock, random })
  })
}

/** Retries until the database is available. Until then the server responds with 503. */
async function migrateWhenPossible(app: FastifyInstance, signal: AbortSignal) {
  while (!signal.aborted) {
    try {
      const { names, ambiguous } = await migrate(app.database.migrations)
      app.log.info({ migrations: names }, 'the tables are up to date')
      for (const column of ambiguous) app.log.warn(ambiguityWarning(column))
      return
    } catch (error) {
      if (!(error instanceof DatabaseUnavailable)) throw error
      if (!app.noteOutage(error)) app.log.warn({ err: error }, 'the migrations cannot run yet')
      await delay(RETRY_MS, undefined, { signal }).catch(() => {})
    }
  }
}

/** URLs, demo access, and a request that works. */
function welcomeLines({ config, server }: FastifyInstance, demo: ShownDemoAccess | null): string[] {
  const address = server.address()
  const base = new URL(config.appUrl)
  // With PORT=0 only the listening socket knows the port.
  if (base.port === '0' && typeof address === 'object' && address !== null) base.port = String(address.port)
  const origin = base.href.replace(/\/$/, '')
  return [
    '',
    `  AnimeThemes user API   ${origin}`,
    `  Documentation          ${origin}/docs`,
    `  Panel                  ${origin}/admin`,
    ...(demo === null
      ? ['  Get a token            npx animethemes-auth token create --email demo@example.org --name mine']
      : [
          `  Demo user              ${demo.email}, password ${demo.password}`,
          `  Demo token             ${demo.token}`,
        ]),
    ...(config.databaseUrl === null ? ['  Demo login, again      npx animethemes-auth demo'] : []),
    '',
    `  curl -H 'Authorization: Bearer ${demo?.token ?? 'TOKEN'}' ${origin}${config.apiPath}/me`,
    '',
  ]
}
