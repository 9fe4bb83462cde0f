import { createEvents } from '#src/accounts/events.ts'
import { createOperator, type Operator } from '#src/accounts/grantor.ts'
import type { Config } from '#src/config/config.ts'
import { loadConfig } from '#src/config/load.ts'
import type { Database } from '#src/database/connect.ts'
import { connectDatabase } from '#src/database/connect.ts'
import { insertEvents } from '#src/database/events.ts'
import { isUnmigrated } from '#src/database/unavailable.ts'
import { scheduleTimer } from '#src/runtime/schedule.ts'
import type { Bytes, EpochMillis } from '#src/runtime/units.ts'

/** The environment of a command. */
export interface CommandContext {
  environment: Record<string, string | undefined>
  /** Writes a line to standard output. */
  print(line: string): void
  /** Writes a line to standard error. */
  warn(line: string): void
  /** Reads standard input to the end. */
  readInput(): Promise<string>
  /** Prompts on the terminal for a line without echo; null if standard input is not a terminal. */
  askSecretly: ((question: string) => Promise<string>) | null
  clock(): EpochMillis
  random(size: Bytes): Buffer
  /** Leaves termination signals to the command from then on. */
  handleSignals?(): void
}

/** An error that the operator can fix: printed as one sentence without a stack. */
export class CommandError extends Error {}

/**
 * Runs a command on the database. If a server holds the embedded database, the command connects through it.
 *
 * @param command the command's name, for the error message of a process that finds the embedded database in use
 */
export async function withDatabase(
  context: CommandContext,
  command: string,
  run: (database: Database, config: Config) => Promise<void>,
): Promise<void> {
  const config = loadConfig(context.environment)
  const database = connectDatabase(config, { command, share: true, onLostConnection: () => {} })
  try {
    await run(database, config)
  } catch (error) {
    if (!isUnmigrated(error)) throw error
    throw new CommandError(
      'The database lacks tables of this version: run "migrate" first, and "seed" if it is new.',
    )
  } finally {
    await database.close()
  }
}

/** The environment of a command on accounts. */
export interface OperatorContext {
  operator: Operator
  kysely: Database['kysely']
  config: Config
  clock: CommandContext['clock']
}

/**
 * Runs a command on accounts, as {@link withDatabase} does. Its events are stored before it ends. If that fails, its
 * changes remain.
 */
export const withOperator = (
  context: CommandContext,
  command: string,
  run: (context: OperatorContext) => Promise<void>,
): Promise<void> =>
  withDatabase(context, command, async (database, config) => {
    const { kysely } = database
    const { clock, warn } = context
    const events = createEvents({
      store: recorded => insertEvents(kysely, recorded),
      onFailure: ({ message }) => warn(`The change is done, but its event could not be stored: ${message}`),
      clock,
      schedule: scheduleTimer,
    })
    try {
      await run({ operator: createOperator({ kysely, events }), kysely, config, clock })
    } finally {
      await events.close()
    }
  })
