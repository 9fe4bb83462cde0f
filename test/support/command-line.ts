import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import type { CommandContext } from '#src/commands/context.ts'
import { createProgram } from '#src/commands/program.ts'
import { databaseOver } from '#src/database/connect.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import { NOW, TEST_KEY } from './app.ts'
import { createPostgresDatabase } from './databases.ts'

/** A database, and a way to run commands on it in this process. */
export async function commandLine(test: Test, settings: Record<string, string> = {}) {
  const url = await createPostgresDatabase(test)
  const database = databaseOver({ ...postgresConnections(url, () => {}), open: async () => {} })
  test.teardown(() => database.close())
  const environment = {
    DATABASE_URL: url,
    APP_KEY: TEST_KEY,
    APP_ENV: 'local',
    HASH_ROUNDS: '4',
    ...settings,
  }
  const command = (...args: string[]) => commandIn({}, ...args)
  /** Runs a command in a world with something else in it. */
  const commandIn = async (world: Partial<CommandContext>, ...args: string[]) => {
    const out: string[] = []
    const err: string[] = []
    let error: Error | null = null
    try {
      await createProgram({
        environment,
        print: line => out.push(line),
        warn: line => err.push(line),
        readInput: async () => '',
        askSecretly: null,
        clock: () => NOW,
        random: randomBytes,
        ...world,
      }).parseAsync(['node', 'animethemes-auth', ...args])
    } catch (thrown) {
      error = thrown as Error
    }
    return { out, err, error: error?.message ?? null }
  }
  return { database, environment, command, commandIn }
}
