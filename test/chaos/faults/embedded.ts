import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openEmbedded } from '#src/database/embedded.ts'
import { freePort } from '../../support/services.ts'
import { type Fault, ONCE, type Result, type World } from '../fault.ts'
import { describe, hangUp, send } from '../http.ts'
import { own, ownFolder } from '../owned.ts'
import { isRunning } from '../processes.ts'
import { type Query, seedUsers, type User } from '../seed.ts'
import { Instance, MAIN, minimal, READY_MS } from '../server.ts'
import { complaints, settings } from '../stand.ts'
import { until } from '../wait.ts'
import { NOTHING, Workload } from '../workload.ts'

/** A server on an embedded database with users, not started yet. */
interface Home {
  world: World
  instance: Instance
  /** Its DATA_DIR. */
  dataDir: string
  users: User[]
  environment: Record<string, string>
  folder: string
}

/** Runs a function on the database while no server holds it. */
async function inDatabase<T>(dataDir: string, work: (query: Query) => Promise<T>): Promise<T> {
  const source = await openEmbedded({ dataDir, command: 'chaos', share: false })
  try {
    const session = await source.acquire()
    try {
      return await work((text, values = []) => session.query(text, values))
    } finally {
      await session.release()
    }
  } finally {
    await source.close()
  }
}

/** Creates a database with the users that each server gets a copy of, since creating one takes seconds. */
let original: Promise<{ path: string; users: User[] }> | null = null

async function makeOriginal(folder: string) {
  const { path } = ownFolder('embedded')
  const instance = await Instance.create('original', folder, { ...settings(), DATA_DIR: path })
  try {
    await instance.start()
  } finally {
    await instance.end('SIGTERM')
  }
  return { path, users: await inDatabase(path, seedUsers) }
}

/** Prepares such a server, runs a function, and removes it. */
const atHome =
  (work: (home: Home) => Promise<Result>): Fault['run'] =>
  async (world, _cache, folder) => {
    original ??= makeOriginal(folder)
    const { path, users } = await original
    const { path: dataDir, remove } = ownFolder('embedded')
    cpSync(path, dataDir, { recursive: true })
    const environment = { ...settings(), DATA_DIR: dataDir }
    const instance = await Instance.create('E', folder, environment)
    try {
      return await work({ world, instance, dataDir, users: structuredClone(users), environment, folder })
    } finally {
      await instance.end('SIGKILL')
      hangUp(instance.base)
      remove()
    }
  }

/** Milliseconds after the start at which a server is killed: before, while and after it opens its database. */
const KILLED_AFTER_MS = [250, 700, 1_200, 1_800]

/** The number of acknowledged writes before each kill. */
const WRITES = 25

async function killWhileWriting({ world, instance, dataDir, users }: Home): Promise<Result> {
  const workload = new Workload([instance], users)
  const problems: string[] = []
  await instance.start()
  await workload.start()
  const rounds = world.isQuick ? 1 : 4
  for (let round = 0; round < rounds; round++) {
    const enough = workload.ledger.acknowledged + WRITES
    await until(`${WRITES} writes`, () => workload.ledger.acknowledged >= enough)
    await instance.end('SIGKILL')
    for (const ms of KILLED_AFTER_MS.slice(round % 2, (round % 2) + 2)) {
      instance.spawn()
      await delay(ms)
      await instance.end('SIGKILL')
    }
    await instance.start()
  }
  let recovery: number | null = null
  try {
    workload.tolerate(NOTHING)
    recovery = await workload.recovered(20_000)
  } catch (error) {
    problems.push((error as Error).message)
  }
  await workload.stop()
  problems.push(...complaints(instance))
  const { code, signal } = await instance.end('SIGTERM')
  if (code !== 0) problems.push(`SIGTERM: expected exit code 0, got ${code ?? signal}`)
  return {
    requests: workload.requests,
    acknowledged: workload.ledger.acknowledged,
    wrong: [...workload.wrong, ...problems],
    lost: await inDatabase(dataDir, query => workload.ledger.faults(query)),
    recovery,
  }
}

/** Requests whose log lines exceed the buffer of a pipe. */
const REQUESTS = 600

/** Runs `serve 2>&1` into a reader that exits or does not read, and sends requests until the pipe is full. */
const withReader =
  (reader: string) =>
  async ({ users, environment, folder }: Home): Promise<Result> => {
    const port = await freePort()
    const base = `http://127.0.0.1:${port}`
    const pidPath = join(folder, 'pid')
    const serve = `echo $$ > '${pidPath}'; exec '${process.execPath}' '${MAIN}' serve`
    const shell = spawn('sh', ['-c', `sh -c "$SERVE" 2>&1 | ${reader}`], {
      cwd: folder,
      env: {
        ...minimal(),
        ...environment,
        PORT: String(port),
        // Prints the start message, too.
        APP_ENV: 'local',
        LOG_REQUESTS: 'all',
        SERVE: serve,
      },
      stdio: 'ignore',
      detached: true,
    })
    const killGroup = own(() => process.kill(-(shell.pid as number), 'SIGKILL'))
    await until('the server to be spawned', () => existsSync(pidPath) && readFileSync(pidPath, 'utf8') !== '')
    const pid = Number(readFileSync(pidPath, 'utf8'))
    const hasEnded = () => !isRunning(pid)
    const wrong: string[] = []
    await until(
      'the server to be ready',
      async () => {
        const outcome = await send(base, { path: '/health/ready' })
        return hasEnded() || (outcome.kind === 'answer' && outcome.status === 200)
      },
      READY_MS,
    )
    const [{ id, token }] = users as [User]
    let requests = 0
    while (requests < REQUESTS && !hasEnded() && wrong.length === 0) {
      requests += 1
      const outcome = await send(base, { path: '/api/me', token })
      const isRight = outcome.kind === 'answer' && (outcome.json?.user as { id?: number })?.id === id
      if (!isRight) wrong.push(`GET /api/me number ${requests}: expected 200, got ${describe(outcome)}`)
    }
    if (hasEnded()) wrong.push(`the server ended by itself, with its output read by "${reader}"`)
    else {
      process.kill(pid, 'SIGTERM')
      await until('the server to end on SIGTERM', hasEnded, 12_000).catch(error => wrong.push(error.message))
    }
    hangUp(base)
    killGroup()
    return { requests, acknowledged: 0, wrong, lost: [], recovery: null }
  }

/** Remedies that an error message may name. */
const REMEDY = /backup|restore|remove|delete|move|DATA_DIR/i

/** Removes parts of the database, which the server must not replace by a new one. */
async function damage({ instance, dataDir, users }: Home): Promise<Result> {
  const database = join(dataDir, 'database')
  const aside = join(dataDir, 'aside')
  const version = join(database, 'PG_VERSION')
  const wrong: string[] = []
  const damages = [
    {
      what: 'without PG_VERSION',
      damage: () => renameSync(version, aside),
      isNew: () => existsSync(version),
      mend: () => renameSync(aside, version),
    },
    {
      what: 'with an empty database folder',
      damage: () => {
        renameSync(database, aside)
        mkdirSync(database, { mode: 0o700 })
      },
      isNew: () => readdirSync(database).length > 0,
      mend: () => replace(aside, database),
    },
    {
      what: 'without a database folder',
      damage: () => renameSync(database, aside),
      isNew: () => existsSync(database),
      mend: () => replace(aside, database),
    },
  ]
  for (const { what, damage, isNew, mend } of damages) {
    damage()
    const before = instance.log().length
    instance.spawn()
    const exit = await Promise.race([instance.ended, delay(15_000)])
    if (exit === undefined) wrong.push(`${what}: expected a refusal to start, got a server that starts`)
    await instance.end('SIGKILL')
    const said = instance.log().slice(before).trim()
    if (exit?.code === 0) wrong.push(`${what}: expected an exit code that is not 0`)
    if (exit !== undefined && !(said.includes(dataDir) && REMEDY.test(said.replaceAll(dataDir, '')))) {
      wrong.push(`${what}: expected a sentence with the directory and the remedy, got ${said.slice(-300)}`)
    }
    if (isNew()) wrong.push(`${what}: expected the folder to be left as it is, got a new database`)
    mend()
  }
  const [{ id, token }] = users as [User]
  await instance.start()
  const outcome = await send(instance.base, { path: '/api/me', token })
  const isRight = outcome.kind === 'answer' && (outcome.json?.user as { id?: number })?.id === id
  if (!isRight)
    wrong.push(`GET /api/me once it is whole again: expected user ${id}, got ${describe(outcome)}`)
  return { requests: 1, acknowledged: 0, wrong, lost: [], recovery: null }
}

/** Replaces a folder by another and keeps the old one beside it, since an open one cannot be overwritten. */
function replace(from: string, to: string) {
  if (existsSync(to)) renameSync(to, `${to}.new-${Date.now()}`)
  renameSync(from, to)
}

/** Faults of a server on the embedded database. */
export const embeddedFaults: Fault[] = [
  {
    name: 'embedded: killed while writing and starting',
    caches: ONCE,
    quick: ONCE,
    run: atHome(killWhileWriting),
  },
  {
    name: 'embedded: the reader of its output ends',
    caches: ONCE,
    quick: [],
    run: atHome(withReader('head -5')),
  },
  {
    name: 'embedded: its output is not read',
    caches: ONCE,
    quick: [],
    run: atHome(withReader('sleep 600')),
  },
  { name: 'embedded: database folder damaged', caches: ONCE, quick: ONCE, run: atHome(damage) },
]
