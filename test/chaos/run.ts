/**
 * `make chaos`: injects faults into databases, Redis, servers and clocks under load, and prints how the servers handled
 * them. It stops and signals only processes that it has started.
 *
 * `QUICK=1` runs half of them in less than three minutes, `ONLY=name,name` those whose names contain one of these.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { type Cache, type Fault, NotRun, type World } from './fault.ts'
import { clockFaults } from './faults/clock.ts'
import { embeddedFaults } from './faults/embedded.ts'
import { postgresFaults } from './faults/postgres.ts'
import { redisFaults } from './faults/redis.ts'
import { requestFaults } from './faults/requests.ts'
import { serverFaults } from './faults/server.ts'
import { ownFolder } from './owned.ts'
import { PostgresCluster, ROLE } from './postgres.ts'
import { RedisServer } from './redis.ts'
import { seedUsers, type User } from './seed.ts'
import { MAIN, minimal } from './server.ts'
import { settings } from './stand.ts'
import { type Row, table } from './table.ts'

const FAULTS = [
  ...postgresFaults,
  ...redisFaults,
  ...serverFaults,
  ...clockFaults,
  ...embeddedFaults,
  ...requestFaults,
]

const TEMPLATE = 'chaos_template'

/** The maximum number of sentences printed for a failure. */
const MOST_REASONS = 6

const isQuick = !['', '0', undefined].includes(process.env.QUICK)
const only = process.env.ONLY?.split(',').map(part => part.trim().toLowerCase())
const isAskedFor = ({ name }: Fault) => only?.some(part => name.toLowerCase().includes(part)) ?? true

const rows: Row[] = []
const chosen = FAULTS.filter(isAskedFor).flatMap(fault => {
  // Faults selected by name are run in any case.
  const caches = isQuick && only === undefined ? fault.quick : fault.caches
  return caches.map(cache => ({ fault, cache }))
})
if (chosen.length === 0) throw new Error(`ONLY=${process.env.ONLY}: no fault has such a name.`)

const { path: logs, keep: keepLogs } = ownFolder('logs')
const world = await createWorld()
for (const { fault, cache } of chosen) {
  const row = await tryFault(fault, cache)
  rows.push(row)
  const verdict = row.skipped ?? (row.reasons.length === 0 ? 'passed' : 'FAILED')
  process.stdout.write(`${titleOf(row)}: ${verdict}\n`)
  sayReasons(row)
}

const failures = rows.filter(row => row.reasons.length > 0)
const failed = failures.length
const passed = rows.filter(row => row.reasons.length === 0 && row.skipped === null).length
process.stdout.write(`\n${table(rows)}\n\n`)
if (failed > 0) {
  keepLogs()
  // Repeated at the end, which is what is kept of a long output.
  for (const row of failures) {
    process.stdout.write(`${titleOf(row)}:\n`)
    sayReasons(row)
  }
  process.stdout.write(`The logs of what failed are in ${logs}\n\n`)
}
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exit(failed === 0 ? 0 : 1)

/** The name of a fault with the setting of the cache. */
function titleOf({ name, cache }: Row): string {
  return cache === null ? name : `${name}, cache ${cache}`
}

/** Prints the reasons of a failure, up to a limit. */
function sayReasons({ reasons }: Row): void {
  for (const reason of reasons.slice(0, MOST_REASONS)) process.stdout.write(`  ${reason}\n`)
  const more = reasons.length - MOST_REASONS
  if (more > 0) process.stdout.write(`  and ${more} more\n`)
}

/** Injects a fault and returns its result. */
async function tryFault(fault: Fault, cache: Cache): Promise<Row> {
  const folder = join(logs, `${fault.name} ${cache}`.replace(/\W+/g, '-'))
  mkdirSync(folder)
  const shown = { name: fault.name, cache: fault.caches.length > 1 ? cache : null }
  try {
    const result = await fault.run(world, cache, folder)
    const reasons = [...result.wrong, ...result.lost.map(text => `lost: ${text}`)]
    if (reasons.length === 0) rmSync(folder, { recursive: true, force: true })
    return { ...shown, result, reasons, skipped: null }
  } catch (error) {
    if (!(error instanceof NotRun)) {
      return { ...shown, result: null, reasons: [(error as Error).stack ?? String(error)], skipped: null }
    }
    const isRequired = !['', undefined].includes(process.env.TEST_REQUIRE_ALL)
    return { ...shown, result: null, reasons: isRequired ? [error.message] : [], skipped: error.message }
  }
}

/** Starts the shared resources, with a template database. */
async function createWorld(): Promise<World> {
  const postgres = await PostgresCluster.create()
  const redis = await RedisServer.create()
  await postgres.query(`create database ${TEMPLATE} owner ${ROLE}`)
  const { path, remove } = ownFolder('commands')
  const env = { ...minimal(), ...settings(), DATABASE_URL: postgres.url(TEMPLATE) }
  for (const command of ['migrate', 'seed']) {
    await promisify(execFile)(process.execPath, [MAIN, command], { env, cwd: path })
  }
  remove()
  const client = new pg.Client(postgres.url(TEMPLATE))
  await client.connect()
  const users: User[] = await seedUsers((text, values) => client.query(text, values))
  await client.end()
  let count = 0
  return {
    postgres,
    redis,
    isQuick,
    users: () => structuredClone(users),
    async database({ empty = false } = {}) {
      count += 1
      const name = `chaos_${count}`
      // A file copy would not log the first values of copied sequences, which would be repeated after a crash.
      const source = empty ? '' : ` template ${TEMPLATE} strategy file_copy`
      await postgres.query(`create database ${name} owner ${ROLE}${source}`)
      return name
    },
  }
}
