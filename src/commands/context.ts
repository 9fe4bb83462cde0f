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

/** What a command has of the world around it. */
export interface CommandContext {
  environment: Record<string, string | undefined>
  /** Writes a line to standard output. */
  print(line: string): void
  /** Writes a line to standard error. */
  warn(line: string): void
  /** Reads standard input to its end. */
  readInput(): Promise<string>
  /** Asks on the terminal for a line that is not shown; null when standard input is no terminal. */
  askSecretly: ((question: string) => Promise<string>) | null
  clock(): EpochMillis
  random(size: Bytes): Buffer
  /** Leaves signals that end a server to the command, from now on. */
  handleSignals?(): void
}

/** Something that the caller has to know and can mend: one sentence, without a stack. */
export class CommandError extends Error {}

/**
 * Runs a command on the database, through the server that holds the embedded one if one does.
 *
 * @param command the command's name, for whoever finds the embedded database taken meanwhile
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
      'The tables of this version are not in the database: run "migrate" first, and "seed" if it is new.',
    )
  } finally {
    await database.close()
  }
}

/** What a command has that does something to accounts. */
export interface OperatorContext {
  operator: Operator
  kysely: Database['kysely']
  config: Config
  clock: CommandContext['clock']
}

/**
 * Runs a command that does something to accounts, as {@link withDatabase} does. What it records is stored before it
 * ends; what was done stays done if that fails.
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
      onFailure: ({ message }) =>
        warn(`It is done, but could not be added to the account's activity: ${message}`),
      clock,
      schedule: scheduleTimer,
    })
    try {
      await run({ operator: createOperator({ kysely, events }), kysely, config, clock })
    } finally {
      await events.close()
    }
  })
