/**
 * `make fuzz`: makes valid, boundary and broken requests from the OpenAPI document, sends them to two instances on one
 * database as guests, users and staff, fills in the forms of the panel, and compares every answer with the document.
 *
 * `FUZZ_REQUESTS=5000` is the number of requests, `FUZZ_MINUTES=15` the limit of time, `FUZZ_SEED=1` a seed besides those in
 * test/fuzz/seeds.json (`none`: those alone). `FUZZ_BLOCK=requests:12` runs one block of that seed.
 */
import { execFile } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import fc from 'fast-check'
import pg from 'pg'
import { type Answer, type Call, describe, hangUp, send } from '../chaos/http.ts'
import { ownFolder } from '../chaos/owned.ts'
import { PostgresCluster, ROLE } from '../chaos/postgres.ts'
import { RedisServer } from '../chaos/redis.ts'
import { Instance, MAIN, minimal } from '../chaos/server.ts'
import { logLines, settings } from '../chaos/stand.ts'
import { CompiledDocument } from '../support/compiled-document.ts'
import { Generator } from './generate.ts'
import { brokenInvariants, LIMITS } from './invariants.ts'
import { faultOf, faultOfPage } from './judge.ts'
import { Panel, type Visit, visits } from './panel.ts'
import { CALLERS, Caller, type CallerKind, isStaff, PASSWORD, People } from './people.ts'
import { callOf, curlOf, type FuzzRequest } from './request.ts'
import { Statistics } from './statistics.ts'

const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 100_000)
const DEADLINE = performance.now() + Number(process.env.FUZZ_MINUTES ?? 15) * 60_000

/** Blocks that run at the same time. */
const LANES = 8

/** The limit for the server's time of a request, in milliseconds. */
const SLOW_MS = 2_000

/** Operations that succeed only with a link from a mail. */
const NEEDS_MAIL = new Set(['email.verify'])

/** The level of errors in the log. */
const ERROR = 50

/** The time for reducing a finding, in milliseconds. */
const REDUCTION_MS = 30_000

const kept = JSON.parse(
  readFileSync(new URL('../../../test/fuzz/seeds.json', import.meta.url), 'utf8'),
) as number[]
const given = process.env.FUZZ_SEED
const fresh = given === 'none' ? [] : [given === undefined ? randomInt(2 ** 31) : Number(given)]
const onlyBlock = process.env.FUZZ_BLOCK
const seeds = onlyBlock === undefined ? [...new Set([...kept, ...fresh])] : fresh

const LIMITLESS = '1000000'
const SETTINGS = {
  ...settings(),
  // Allows cheap password hashes.
  APP_ENV: 'local',
  TOKEN_LOGIN: 'on',
  LEAKED_TOKENS: 'on',
  SECURITY_CONTACT: 'mailto:security@example.org',
  LOG_REQUESTS: 'all',
  HASH_ROUNDS: '4',
  LOGIN_RATE_LIMIT: LIMITLESS,
  CONFIRM_PASSWORD_RATE_LIMIT: LIMITLESS,
  TWO_FACTOR_RATE_LIMIT: LIMITLESS,
  REGISTER_RATE_LIMIT: LIMITLESS,
  FORGOT_PASSWORD_RATE_LIMIT: LIMITLESS,
  EXPORT_DAILY_LIMIT: LIMITLESS,
  USER_MAX_PLAYLISTS: String(LIMITS.playlists),
  PLAYLIST_MAX_TRACKS: String(LIMITS.tracks),
  USER_MAX_PROFILES: String(LIMITS.profiles),
  TOKENS_PER_USER: String(LIMITS.tokens),
}

const { path: folder, keep } = ownFolder('fuzz')
const postgres = await PostgresCluster.create()
const redis = await RedisServer.create()
await postgres.query(`create database fuzz owner ${ROLE}`)
const environment = { ...SETTINGS, DATABASE_URL: postgres.url('fuzz'), REDIS_URL: redis.url }
for (const command of [['migrate'], ['seed', '--demo']]) {
  await promisify(execFile)(process.execPath, [MAIN, ...command], {
    env: { ...minimal(), ...environment },
    cwd: folder,
  })
}
const instances = [
  await Instance.create('A', folder, environment),
  await Instance.create('B', folder, { ...environment, IDENTITY_CACHE: 'on' }),
] as const
await Promise.all(instances.map(instance => instance.start()))
const pool = new pg.Pool({ connectionString: postgres.url('fuzz'), max: 6 })
const people = new People(pool)
const [{ base: baseA }, { base: baseB }] = instances
const baseAt = (index: number) => (index % 2 === 0 ? baseA : baseB)

/** Returns the instances in turn. */
const inTurn = () => {
  let count = 0
  return () => {
    count += 1
    return baseAt(count)
  }
}

const described = await send(baseA, { path: '/openapi.json' })
if (described.kind !== 'answer' || described.json === null) throw new Error(describe(described))
const document = new CompiledDocument(described.json)
const generator = new Generator(described.json)
const statistics = new Statistics(generator.operations.map(({ operation }) => operation.operationId))

/** What was found, by operation and kind of fault. */
const findings = new Map<string, { text: string; times: number }>()

/** Adds a finding. @returns whether there was none like it */
function isNew(fault: string, where: string): boolean {
  const key = `${where} ${fault.split(':')[0]?.replace(/\d+/g, 'n')}`
  const known = findings.get(key)
  if (known) known.times += 1
  else findings.set(key, { text: fault, times: 1 })
  return known === undefined
}

/** A fault with the shortest request that shows it. */
class Fault extends Error {
  readonly curl: string
  constructor(fault: string, curl: string) {
    super(fault)
    this.curl = curl
  }
}

/** A number of blocks, each of some requests by one caller. */
interface Phase {
  name: string
  /** Its share of all requests. */
  share: number
  callers: readonly CallerKind[]
  run(block: Block): Promise<void>
}

interface Block {
  /** The environment that repeats it. */
  repeat: string
  /** Whether its phase has sent its share of the requests. */
  isOver(): boolean
  seed: number
  caller: Caller
  /** Where a finding is being reduced: there the same fault counts again. */
  reducing: Set<string>
}

/** Sends a request of a block. @throws {Fault} for what is wrong with the answer, unless it was found before */
async function attempt(request: FuzzRequest, block: Block, base: string): Promise<void> {
  const { caller } = block
  await caller.revive(base)
  const call = callOf(request, caller)
  const outcome = await caller.send(base, call, request.isForged)
  statistics.add(caller.kind, request.kind, request.operationId, outcome)
  if (outcome.kind === 'answer') caller.learn(outcome, request.isForged)
  const fault = faultOf(document, request, caller.kind, call.path, outcome)
  if (fault === null) return
  const where = `${request.operationId} ${isStaff(caller.kind) ? 'staff' : ''}`
  if (block.reducing.has(where) || isNew(fault, where)) {
    block.reducing.add(where)
    throw new Fault(fault, curlOf(base, call, caller.credentials))
  }
}

/** Checks a property in a block; a fault is reduced and reported. */
async function check<T>(
  arbitrary: fc.Arbitrary<T>,
  runs: number,
  block: Block,
  act: (value: T) => Promise<void>,
) {
  const actUnlessOver = async (value: T) => {
    if (block.isOver() && block.reducing.size === 0) return
    await act(value)
  }
  const result = await fc.check(fc.asyncProperty(arbitrary, actUnlessOver), {
    seed: block.seed,
    numRuns: runs,
    interruptAfterTimeLimit: REDUCTION_MS,
  })
  if (!result.failed) return
  const error = result.errorInstance as Error
  report(block, error.message, error instanceof Fault ? error.curl : (error.stack ?? ''))
}

function report({ caller, repeat }: Pick<Block, 'caller' | 'repeat'>, fault: string, how: string): void {
  statistics.found(caller.kind)
  process.stdout.write(`\nFOUND as ${caller.kind}: ${fault}\n  ${how}\n  repeated by ${repeat}\n`)
}

const PHASES: readonly Phase[] = [
  {
    name: 'requests',
    share: 0.7,
    callers: CALLERS,
    async run(block) {
      const nextBase = inTurn()
      await check(generator.requests, 60, block, request => attempt(request, block, nextBase()))
    },
  },
  {
    name: 'concurrent',
    share: 0.15,
    callers: CALLERS.filter(kind => kind !== 'guest'),
    async run(block) {
      await check(generator.concurrentWrites, 20, block, async requests => {
        const outcomes = await Promise.allSettled(
          requests.map((request, index) => attempt(request, block, baseAt(index))),
        )
        for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
      })
    },
  },
  {
    name: 'panel',
    share: 0.15,
    callers: ['session', 'session', 'staff session'],
    async run(block) {
      const panel = new Panel(PASSWORD)
      const nextBase = inTurn()
      await check(visits, 20, block, async (visit: Visit) => {
        await panel.visit(visit, async (call: Call): Promise<Answer | null> => {
          const base = nextBase()
          const own = {
            ...call,
            headers: { accept: 'text/html', origin: base, referer: `${base}/admin`, ...call.headers },
          }
          const outcome = await block.caller.send(base, own)
          statistics.add(`panel: ${block.caller.kind}`, 'form', null, outcome)
          const fault = faultOfPage(outcome)
          const where = `${call.method ?? 'GET'} ${call.path.replace(/\?.*/, '').replace(/\d+/g, 'n')}`
          if (fault !== null && (block.reducing.has(where) || isNew(fault, where))) {
            block.reducing.add(where)
            throw new Fault(fault, curlOf(base, own, block.caller.credentials))
          }
          return outcome.kind === 'answer' ? outcome : null
        })
      })
    },
  },
]

/** Adds the users of a block and logs in. Null, after a report, if the server does not let them. */
async function prepare(kind: CallerKind, index: number) {
  try {
    const person = await people.create(baseA, isStaff(kind) ? 'Admin' : 'Verified')
    const other = await people.create(baseB, 'Verified')
    const caller = new Caller(people, kind, person, other)
    caller.use(await people.pair(index))
    await caller.logIn(baseAt(index))
    return { person, other, caller }
  } catch (error) {
    const { message } = error as Error
    if (isNew(message, 'before the first request'))
      process.stdout.write(`\nFOUND before the first request: ${message}\n`)
    return null
  }
}

/**
 * Runs a block of a phase with users of its own, and checks their rows after it.
 *
 * @returns whether it could begin
 */
async function runBlock(
  { name, callers, run }: Phase,
  { seed, index, isOver }: { seed: number; index: number; isOver: () => boolean },
): Promise<boolean> {
  const kind = callers[index % callers.length] as CallerKind
  const prepared = await prepare(kind, index)
  if (prepared === null) return false
  const { person, other, caller } = prepared
  const block = {
    repeat: `FUZZ_SEED=${seed} FUZZ_BLOCK=${name}:${index} make fuzz`,
    isOver,
    seed: (seed * 31 + index * 7_919 + name.length) % 2 ** 31,
    caller,
    reducing: new Set<string>(),
  }
  await run(block)
  for (const { id } of [person, other]) {
    // Administrators have no limits.
    for (const broken of await brokenInvariants(pool, id, { isLimited: id === other.id || !isStaff(kind) })) {
      if (isNew(broken, 'rows')) report(block, broken, 'in the rows of the database')
    }
  }
  return true
}

const isOver = () => performance.now() > DEADLINE || instances.some(({ crashes }) => crashes.length > 0)

/** Runs blocks of a phase in several lanes, until it has sent its share of the requests. */
async function runPhase(phase: Phase, seed: number, share: number): Promise<void> {
  const [onlyName, onlyIndex] = onlyBlock?.split(':') ?? []
  if (onlyName !== undefined) {
    if (onlyName === phase.name)
      await runBlock(phase, { seed, index: Number(onlyIndex), isOver: () => false })
    return
  }
  const end = statistics.requests + share
  const isDone = () => statistics.requests >= end
  let next = 0
  const lane = async () => {
    while (!isDone() && !isOver()) {
      next += 1
      if (!(await runBlock(phase, { seed, index: next - 1, isOver: isDone }))) return
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
}

const from = performance.now()
process.stdout.write(
  `seeds ${seeds.join(', ')}; ${REQUESTS} requests to ${generator.operations.length} operations and the panel\n`,
)
for (const phase of PHASES) {
  for (const seed of seeds) await runPhase(phase, seed, (REQUESTS * phase.share) / seeds.length)
}
const seconds = Math.round((performance.now() - from) / 1_000)

const unreached = statistics.neverDone.filter(name => !NEEDS_MAIL.has(name))
const problems: string[] = []
const errors = new Set<string>()
let slowest = 0
for (const instance of instances) {
  for (const { code, signal } of instance.crashes)
    problems.push(`${instance.name} ended by itself, with ${code ?? signal}`)
  for (const { level = 0, ms = 0, err, text } of logLines(instance)) {
    slowest = Math.max(slowest, ms)
    if (ms > SLOW_MS) problems.push(`a request took too long: ${text}`)
    if (level >= ERROR)
      errors.add(
        String(err?.message ?? text)
          .split('\n')[0]
          ?.slice(0, 300) ?? '',
      )
  }
}
problems.push(
  ...[...errors].map(text => `an error in a log: ${text}`),
  ...(performance.now() > DEADLINE ? ['the time was over before all requests were sent'] : []),
  ...(onlyBlock === undefined && REQUESTS >= 50_000
    ? unreached.map(name => `${name} never succeeded: the requests do not reach what it does`)
    : []),
)
process.stdout.write(`\n${statistics.table()}\n\n`)
process.stdout.write(
  `${statistics.requests} requests in ${seconds} s; the slowest took the server ${Math.round(slowest)} ms\n`,
)
if (unreached.length > 0) process.stdout.write(`operations that never succeeded: ${unreached.join(', ')}\n`)
for (const problem of problems) process.stdout.write(`FOUND: ${problem}\n`)
for (const [key, { text, times }] of findings) process.stdout.write(`${times} × ${key}: ${text}\n`)

await pool.end()
for (const instance of instances) {
  await instance.end('SIGKILL')
  hangUp(instance.base)
}
const failed = findings.size + problems.length
if (failed > 0) {
  keep()
  process.stdout.write(
    `The logs are in ${folder}. A seed that finds something belongs into test/fuzz/seeds.json.\n`,
  )
}
process.stdout.write(`${statistics.requests - failed} passed, ${failed} failed\n`)
process.exit(failed === 0 ? 0 : 1)
