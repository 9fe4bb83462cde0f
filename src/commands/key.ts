import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { parseEnv } from 'node:util'
import { Command } from 'commander'
import { AppKey } from '#src/config/app-key.ts'
import { type CommandContext, CommandError } from './context.ts'

interface GenerateOptions {
  write?: string | true
  force?: true
}

/** `key generate`: creates an APP_KEY. */
export const keyCommand = (context: CommandContext) =>
  new Command('key').description('manage APP_KEY').addCommand(
    new Command('generate')
      .description('create an APP_KEY and print it, or write it to .env')
      .option('--write [file]', 'write APP_KEY to this file (default: .env) instead of printing it')
      .option('--force', 'replace the key of the file; the old one is moved to APP_PREVIOUS_KEYS')
      .action((options: GenerateOptions, command: Command) => generate(context, options, command)),
  )

async function generate(
  { random, print, warn, environment }: CommandContext,
  options: GenerateOptions,
  command: Command,
) {
  const { write, force } = options
  const key = AppKey.generate(random)
  if (write === undefined) {
    if (force) command.error('error: --force needs --write')
    print(key)
    return
  }
  const file = write === true ? '.env' : write
  const text = await readEnvFile(file)
  const { APP_KEY: old = '', APP_PREVIOUS_KEYS: previous = '' } = parseEnv(text)
  if (old !== '' && !force) {
    throw new CommandError(
      `${file} has an APP_KEY. Second factors and links in mails depend on it: replace it with --force, which keeps it in APP_PREVIOUS_KEYS.`,
    )
  }
  const previousKeys = [old, previous].filter(one => one !== '').join(',')
  const updated = withVariable(
    old === '' ? text : withVariable(text, 'APP_PREVIOUS_KEYS', previousKeys),
    'APP_KEY',
    key,
  )
  await replaceFile(file, updated, random)
  print(`Wrote APP_KEY to ${file}.`)
  const exported = environment.APP_KEY ?? ''
  if (exported !== '' && exported !== old) {
    warn(`The environment has another APP_KEY, which takes precedence over ${file}: unset it.`)
  }
}

async function readEnvFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw fileError(file, error)
  }
}

/** Writes through a temporary file and a rename, so that a crash leaves the old file or the new one. */
async function replaceFile(file: string, text: string, random: CommandContext['random']) {
  const temporary = `${file}.${random(4).toString('hex')}`
  try {
    await writeFile(temporary, text, { mode: 0o600 })
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw fileError(file, error)
  }
}

const fileError = (file: string, error: unknown) =>
  new CommandError(`${file} cannot be read or written: ${(error as NodeJS.ErrnoException).code ?? error}.`)

/**
 * Sets a variable in the text of a .env file: replaces its last assignment (the effective one), otherwise its
 * commented-out default, otherwise appends a line.
 */
export function withVariable(text: string, name: string, value: string): string {
  const line = `${name}=${value}`
  for (const pattern of [`^[ \\t]*(?:export[ \\t]+)?${name}[ \\t]*=.*$`, `^#[ \\t]*${name}=.*$`]) {
    const last = [...text.matchAll(new RegExp(pattern, 'gm'))].at(-1)
    if (last !== undefined) return text.slice(0, last.index) + line + text.slice(last.index + last[0].length)
  }
  return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`
}
