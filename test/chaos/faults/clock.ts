import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { Browser, loginFault } from '../browser.ts'
import { BOTH, type Fault, NotRun } from '../fault.ts'
import { describe, send } from '../http.ts'
import { ownFolder } from '../owned.ts'
import type { User } from '../seed.ts'
import type { Instance } from '../server.ts'
import { type Stand, underLoad } from '../stand.ts'
import { until } from '../wait.ts'
import { NOTHING } from '../workload.ts'

/** Library folders; Debian's package `faketime` installs into a subfolder of one. */
const LIBRARIES = ['/usr/lib', '/usr/lib64', '/usr/local/lib']

const HOUR_S = 3_600
const DAY_S = 86_400
const JUMPS = [HOUR_S, -HOUR_S, DAY_S, -DAY_S]
const QUICK_JUMPS = [DAY_S, -HOUR_S]

/** The window of login limits in seconds. */
const WINDOW_S = 60

/** Logins per minute for an account: few, so that they can be exhausted; four times as many for this address. */
const LOGINS = 20

/** Attempts are counted themselves: how long to wait between two, in milliseconds. */
const RETRY_MS = 5_000

/** The path of libfaketime; null if it is not installed. */
function findFaketime(): string | null {
  for (const folder of LIBRARIES) {
    const below = readFolder(folder).filter(name => name.endsWith('-linux-gnu') || name === 'faketime')
    for (const name of below) {
      const directory = name === 'faketime' ? join(folder, name) : join(folder, name, 'faketime')
      const library = readFolder(directory).find(file => file.startsWith('libfaketimeMT.so'))
      if (library !== undefined) return join(directory, library)
    }
  }
  return null
}

function readFolder(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

/** Sets the clock of instance A and waits until it takes effect. */
async function setClock({ base }: Instance, file: string, offset: number) {
  writeFileSync(file, `${offset < 0 ? '' : '+'}${offset}\n`)
  await until(`the clock of ${base} to be ${offset} s off`, async () => {
    const outcome = await send(base, { path: '/health/live' })
    const shown = outcome.kind === 'answer' ? Date.parse(outcome.headers.date ?? '') - Date.now() : Number.NaN
    return Math.abs(shown / 1_000 - offset) < 10
  })
}

/** Adds a token of a user that expires in half an hour by the clock of the database. */
async function addShortToken({ world, database }: Stand, user: User): Promise<string> {
  const client = new pg.Client(world.postgres.url(database))
  await client.connect()
  const { rows } = await client.query(
    `insert into personal_access_tokens (tokenable_type, tokenable_id, name, token, abilities, created_at, expires_at)
     select tokenable_type, tokenable_id, 'short', encode(sha256('short'::bytea), 'hex'), abilities,
       now() at time zone 'UTC', now() at time zone 'UTC' + interval '30 minutes'
     from personal_access_tokens where tokenable_id = $1 and name = 'valid' returning id`,
    [user.id],
  )
  await client.end()
  return `${rows[0].id}|short`
}

/** Exhausts the logins of an account. @returns errors of the refusal, a sentence each */
async function useUpLogins({ base, name }: Instance, { email }: User): Promise<string[]> {
  const browser = new Browser()
  for (let n = 0; n <= LOGINS; n++) await browser.logIn(base, { email, password: 'wrong' })
  const outcome = await browser.logIn(base, { email, password: 'wrong' })
  const after = outcome.kind === 'answer' ? Number(outcome.headers['retry-after']) : Number.NaN
  const isRight = outcome.kind === 'answer' && outcome.status === 429 && after <= WINDOW_S
  return isRight
    ? []
    : [
        `login number ${LOGINS + 2} on ${name}: expected 429 for ${WINDOW_S} s at most, got ${describe(outcome)} for ${after} s`,
      ]
}

async function jump(stand: Stand, file: string) {
  const { instances, users, problems, world, hold } = stand
  const [a, b] = instances
  const [user, locked, ...others] = users as [User, User, ...User[]]
  const token = await addShortToken(stand, user)
  const expectStatus = async (instance: Instance, expected: number, offset: number) => {
    const outcome = await send(instance.base, { path: '/api/me', token })
    if (outcome.kind !== 'answer' || outcome.status !== expected) {
      const what = `a token of half an hour on ${instance.name}, whose clock is ${offset} s off`
      problems.push(`${what}: expected ${expected}, got ${describe(outcome)}`)
    }
  }
  const jumps = world.isQuick ? QUICK_JUMPS : JUMPS
  for (const [n, offset] of jumps.entries()) {
    // An account whose logins are not exhausted.
    const other = others[n] as User
    await setClock(a, file, offset)
    await expectStatus(a, offset > 0 ? 401 : 200, offset)
    await expectStatus(b, 200, 0)
    const fault = await loginFault(a.base, other)
    if (fault !== null) problems.push(`${fault}, ${offset} s off`)
    // Attempts counted by a clock of tomorrow must not count until tomorrow.
    if (offset === DAY_S) problems.push(...(await useUpLogins(a, locked)))
    await hold(1.5)
    await setClock(a, file, 0)
    await expectStatus(a, 200, 0)
    for (const instance of instances) {
      const fault = await loginFault(instance.base, other)
      if (fault !== null) problems.push(`${fault}, after it was ${offset} s off`)
    }
  }
  if (world.isQuick) return
  for (const { base, name } of instances) {
    const isLetIn = async () => (await loginFault(base, locked)) === null
    const what = `the login on ${name} to be free again`
    await until(what, isLetIn, (WINDOW_S + 10) * 1_000, RETRY_MS).catch(error => problems.push(error.message))
  }
}

/** Makes the fault, or one that reports the missing dependency. */
function clockJumps(): Fault {
  const library = findFaketime()
  const about = { name: 'clock jumps by an hour and a day', caches: BOTH, quick: ['on'] as const }
  if (library === null) {
    return {
      ...about,
      run: () => Promise.reject(new NotRun('not run: install faketime')),
    }
  }
  return {
    ...about,
    run(world, cache, folder) {
      const file = join(ownFolder('clock').path, 'offset')
      writeFileSync(file, '+0\n')
      return underLoad({
        ...about,
        tolerance: NOTHING,
        isFelt: false,
        strike: stand => jump(stand, file),
        extra: name => ({
          LOGIN_RATE_LIMIT: String(LOGINS),
          // A week, since a session lifetime of two hours would end by the clock itself.
          SESSION_LIFETIME: '10080',
          ...(name === 'A' && {
            LD_PRELOAD: library,
            FAKETIME_TIMESTAMP_FILE: file,
            FAKETIME_CACHE_DURATION: '1',
            // It cannot be set.
            FAKETIME_DONT_FAKE_MONOTONIC: '1',
          }),
        }),
      }).run(world, cache, folder)
    },
  }
}

/** Faults of the clock of one instance. */
export const clockFaults: Fault[] = [clockJumps()]
