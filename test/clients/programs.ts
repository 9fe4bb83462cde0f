import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findProgram } from '../support/services.ts'

const CLIENTS = join(import.meta.dirname, '../../../clients')

/** A client in some language, and how to tell whether this machine has both. */
export interface Runtime {
  name: string
  /** The commands that may have the client: the first one that has it is used. */
  commands: readonly string[]
  /** Arguments for a program that fails without the client. */
  probe: readonly string[]
  missing: string
  programs: readonly string[]
}

export const GUZZLE: Runtime = {
  name: 'Guzzle',
  commands: ['php'],
  probe: ['-r', "require 'GuzzleHttp/autoload.php';"],
  missing: 'php with Guzzle (Debian: php-cli, php-guzzlehttp-guzzle)',
  programs: ['php/bearer.php', 'php/cookies.php'],
}

export const REQUESTS: Runtime = {
  name: 'requests',
  // Only Debian's own has Debian's packages; PATH may have another one before it.
  commands: ['python3', '/usr/bin/python3'],
  probe: ['-c', 'import requests'],
  missing: 'python3 with requests (Debian: python3-requests)',
  programs: ['python/bearer.py', 'python/cookies.py'],
}

/** The path of the first command that has the client; null for none. */
export function findRuntime({ commands, probe }: Runtime): string | null {
  const paths = commands.map(name => (name.startsWith('/') ? name : findProgram(name)))
  return paths.find(path => path !== null && spawnSync(path, probe).status === 0) ?? null
}

/** Runs a program of clients/. @throws {Error} with its output if it fails */
export async function runProgram(command: string, program: string, env: Record<string, string>) {
  await promisify(execFile)(command, [join(CLIENTS, program)], { env, timeout: 120_000 })
}
