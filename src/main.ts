#!/usr/bin/env node
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { parseEnv } from 'node:util'

/** Loading the server takes seconds on a busy machine. Until it handles signals itself, it has nothing to finish. */
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const
const stopAtOnce = () => process.exit(0)
// Process 1 of a container ignores signals that it does not handle.
if (process.argv[2] === 'serve') for (const signal of STOP_SIGNALS) process.once(signal, stopAtOnce)

const { CommanderError } = await import('commander')
const { program } = await import('#src/commands/program.ts')
const { askSecretly } = await import('#src/commands/terminal.ts')

/** The variables of `.env`, if there is one, under those of the environment. */
function environment(): Record<string, string | undefined> {
  try {
    return { ...parseEnv(readFileSync('.env', 'utf8')), ...process.env }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return process.env
    throw error
  }
}

const oneLine = (message: string) => message.trim().replace(/\s*\n\s*/g, '; ')

// Whoever reads the output may stop, as in `serve | head`: without these an error would end the process.
for (const output of [process.stdout, process.stderr]) output.on('error', () => {})

try {
  const command = program({
    environment: environment(),
    print: line => process.stdout.write(`${line}\n`),
    warn: line => process.stderr.write(`${line}\n`),
    readInput: () => text(process.stdin),
    askSecretly: process.stdin.isTTY
      ? question => askSecretly(question, process.stdin, process.stderr)
      : null,
    clock: Date.now,
    random: randomBytes,
    handleSignals() {
      for (const signal of STOP_SIGNALS) process.off(signal, stopAtOnce)
    },
  })
  await command.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2
  } else {
    process.stderr.write(`error: ${oneLine(error instanceof Error ? error.message : String(error))}\n`)
    process.exitCode = 1
  }
}
