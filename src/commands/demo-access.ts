import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { verifyPassword } from '#src/auth/password.ts'
import { parseToken } from '#src/auth/token.ts'
import type { Config } from '#src/config/config.ts'
import type { Database } from '#src/database/connect.ts'
import type { DemoCredentials } from '#src/database/demo.ts'
import { findToken } from '#src/database/tokens.ts'
import { findCredentials } from '#src/database/users.ts'

/** The demo user's password and token, as text. */
export interface ShownDemoAccess {
  email: string
  password: string
  token: string
}

/** The file in the embedded database's folder. On a PostgreSQL server the demo access is not stored. */
const fileOf = ({ dataDir }: Config) => join(dataDir, 'demo.json')

/** Stores the demo access of the embedded database, readable only by this user, so that it can be printed again. */
export async function storeDemoAccess(config: Config, access: DemoCredentials): Promise<ShownDemoAccess> {
  const shown = { email: access.email, password: access.password, token: access.token.reveal() }
  if (config.databaseUrl === null) {
    await writeFile(fileOf(config), `${JSON.stringify(shown, null, 2)}\n`, { mode: 0o600 })
  }
  return shown
}

/** The stored demo access; null for none. */
async function readDemoAccess(config: Config): Promise<ShownDemoAccess | null> {
  if (config.databaseUrl !== null) return null
  try {
    return JSON.parse(await readFile(fileOf(config), 'utf8')) as ShownDemoAccess
  } catch {
    return null
  }
}

/**
 * The stored demo access, with null for a changed password and a revoked token. Null if nothing is stored or the demo
 * user is deleted.
 */
export async function findDemoAccess(
  database: Pick<Database, 'kysely'>,
  config: Config,
): Promise<{ email: string; password: string | null; token: string | null } | null> {
  const stored = await readDemoAccess(config)
  if (stored === null) return null
  const { email, password, token } = stored
  const user = await findCredentials(database.kysely, email)
  if (user === null) return null
  return {
    email,
    password: verifyPassword(password, user.password) ? password : null,
    token: (await isIssued(database, config, token)) ? token : null,
  }
}

async function isIssued({ kysely }: Pick<Database, 'kysely'>, { tokenableTypes }: Config, token: string) {
  const id = parseToken(token)?.id ?? null
  return id !== null && (await findToken(kysely, Number(id), tokenableTypes)) !== null
}
