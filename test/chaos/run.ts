/**
 * `make chaos`: has databases, Redis, servers and clocks fail under load, in every way that they do, and prints how the
 * servers took it. It stops and signals nothing but what it has started itself.
 *
 * `QUICK=1` runs a half in less than three minutes, `ONLY=name,name` what has a part of those names.
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

/** The most sentences that are printed of one failure. */
const MOST_REASONS = 6

const isQuick = !['', '0', undefined].includes(process.env.QUICK)
const only = process.env.ONLY?.split(',').map(part => part.trim().toLowerCase())
const isAskedFor = ({ name }: Fault) => only?.some(part => name.toLowerCase().includes(part)) ?? true

const rows: Row[] = []
const chosen = FAULTS.filter(isAskedFor).flatMap(fault => {
  // What is asked for by name is run in any case.
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
  // Once more at the end, which is what is kept of a long output.
  for (const row of failures) {
    process.stdout.write(`${titleOf(row)}:\n`)
    sayReasons(row)
  }
  process.stdout.write(`The logs of what failed are in ${logs}\n\n`)
}
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exit(failed === 0 ? 0 : 1)

/** A fault's name, and with which cache it struck. */
function titleOf({ name, cache }: Row): string {
  return cache === null ? name : `${name}, cache ${cache}`
}

/** Prints what was wrong, as far as it is of use. */
function sayReasons({ reasons }: Row): void {
  for (const reason of reasons.slice(0, MOST_REASONS)) process.stdout.write(`  ${reason}\n`)
  const more = reasons.length - MOST_REASONS
  if (more > 0) process.stdout.write(`  and ${more} more\n`)
}

/** Has a fault happen, and says how that went. */
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

/** Starts what all faults share, with a database of which others are copies. */
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
      // Copies page by page would not log the first values of copied sequences, which a crash then gives out again.
      const source = empty ? '' : ` template ${TEMPLATE} strategy file_copy`
      await postgres.query(`create database ${name} owner ${ROLE}${source}`)
      return name
    },
  }
}
