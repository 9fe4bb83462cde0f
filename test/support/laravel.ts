import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Kysely, sql } from 'kysely'
import type { Schema } from '#src/database/schema.ts'

/** Rows that a real Laravel with Sanctum wrote, and what it made of the tokens and passwords. */
export interface LaravelRows {
  users: { row: Record<string, unknown> & { id: number; name: string; password: string }; password: string }[]
  personal_access_tokens: (Record<string, unknown> & { id: number; created_at: string })[]
  cases: { plain: string; id: number; note: string; status: number; user_id: number | null }[]
}

const read = (name: string) =>
  JSON.parse(readFileSync(join(import.meta.dirname, '../../../test/fixtures', name), 'utf8'))

export const laravelRows = read('laravel-rows.json') as LaravelRows

/** Answers that a real Laravel with Sanctum gave. Requests are arguments of curl. */
export const laravelAnswers = read('laravel-answers.json').cases as {
  case: string
  request: string[] | string
  status?: number
  headers?: [string, string][]
  json?: unknown
}[]

/** Loads Laravel's rows as they are. */
export async function loadLaravelRows(db: Kysely<Schema>): Promise<void> {
  const load = async (table: string, rows: object[]) => {
    await sql`
      insert into ${sql.table(table)} (${sql.join(Object.keys(rows[0] ?? {}).map(name => sql.ref(name)))})
      select ${sql.join(Object.keys(rows[0] ?? {}).map(name => sql.ref(name)))}
      from jsonb_populate_recordset(null::${sql.table(table)}, ${JSON.stringify(rows)}::jsonb)`.execute(db)
  }
  await load(
    'users',
    laravelRows.users.map(({ row }) => row),
  )
  await load('personal_access_tokens', laravelRows.personal_access_tokens)
}

/** The request that a recorded command line of curl makes. */
export function parseCurl(args: string[], replace: (text: string) => string) {
  let url = ''
  let method = 'GET'
  let payload: string | undefined
  const headers: Record<string, string> = {}
  for (let i = 0; i < args.length; i += 1) {
    const [arg = '', next = ''] = [args[i], args[i + 1]]
    if (arg.startsWith('{base}')) url = arg.replace('{base}', '')
    if (!/^-[HXdbc]$|^--data-urlencode$/.test(arg)) continue
    i += 1
    if (arg === '-H') {
      const [name = '', ...value] = next.split(':')
      headers[name.toLowerCase()] = replace(value.join(':').replace(/^ /, ''))
    } else if (arg === '-X') {
      method = next
    } else if (arg === '-d') {
      payload = next
      if (method === 'GET') method = 'POST'
    } else if (arg === '--data-urlencode') {
      const [name = '', ...value] = next.split('=')
      url += `?${name}=${encodeURIComponent(replace(value.join('=')))}`
    }
  }
  return {
    url,
    headers,
    method,
    payload,
    readsCookies: args.includes('-b'),
    writesCookies: args.includes('-c'),
  }
}
