#!/usr/bin/env node
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { parseEnv } from 'node:util'

/** Loading the server may take seconds. Until it handles these signals itself, there is nothing to drain. */
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const
const exit = () => process.exit(0)
// The kernel ignores signals to process 1 of a container that have no handler.
if (process.argv[2] === 'serve') for (const signal of STOP_SIGNALS) process.once(signal, exit)

const { CommanderError } = await import('commander')
const { createProgram } = await import('#src/commands/program.ts')
const { askSecretly } = await import('#src/commands/terminal.ts')

/** Returns the variables of the environment and of `.env`. The environment takes precedence. */
function readEnvironment(): Record<string, string | undefined> {
  try {
    return { ...parseEnv(readFileSync('.env', 'utf8')), ...process.env }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return process.env
    throw error
  }
}

const toOneLine = (message: string) => message.trim().replace(/\s*\n\s*/g, '; ')

// Without a listener, EPIPE of a closed reader (`serve | head`) would end the process.
for (const output of [process.stdout, process.stderr]) output.on('error', () => {})

try {
  const command = createProgram({
    environment: readEnvironment(),
    print: line => process.stdout.write(`${line}\n`),
    warn: line => process.stderr.write(`${line}\n`),
    readInput: () => text(process.stdin),
    askSecretly: process.stdin.isTTY
      ? question => askSecretly(question, process.stdin, process.stderr)
      : null,
    clock: Date.now,
    random: randomBytes,
    handleSignals() {
      for (const signal of STOP_SIGNALS) process.off(signal, exit)
    },
  })
  await command.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2
  } else {
    process.stderr.write(`error: ${toOneLine(error instanceof Error ? error.message : String(error))}\n`)
    process.exitCode = 1
  }
}
