#!/usr/bin/env node
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { parseEnv } from 'node:util'
import { CommanderError } from 'commander'
import { program } from './commands/program.ts'

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
    clock: Date.now,
    random: randomBytes,
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
