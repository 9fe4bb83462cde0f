import { constants } from 'node:fs'
import { access, chmod, chown, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { parseEnv } from 'node:util'
import { Command } from 'commander'
import { AppKey } from '#src/config/app-key.ts'
import { type CommandContext, CommandError } from './context.ts'

const ENV_FILE = '.env'

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
  const file = write === true ? ENV_FILE : write
  if (file === '') command.error('error: --write: expected the name of a file')
  const { APP_KEY: current = '' } = parseEnv(await readEnvFile(ENV_FILE))
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
  // The environment includes what this folder's .env sets.
  if (exported !== '' && exported !== current) {
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

/**
 * Writes through a temporary file and a rename, so that a crash leaves the old file or the new one. A symbolic link
 * stays one, and the file keeps its mode and owner, since a server of another user may read it.
 */
async function replaceFile(file: string, text: string, random: CommandContext['random']) {
  const old = await stat(file).catch(() => null)
  const target = old === null ? file : await realpath(file)
  const temporary = `${target}.${random(4).toString('hex')}`
  try {
    // The rename needs a writable folder only.
    if (old !== null) await access(target, constants.W_OK)
    await writeFile(temporary, text, { mode: 0o600 })
    if (old !== null) {
      await chown(temporary, old.uid, old.gid)
      await chmod(temporary, old.mode)
    }
    await rename(temporary, target)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw fileError(file, error)
  }
}

/** Explanations of failures to read or write a file. */
const FILE_ERRORS: Record<string, (file: string) => string> = {
  ENOENT: file => `${file}: the folder ${dirname(file)} does not exist. Create it, or name another file.`,
  EISDIR: file => `${file} is a folder: name a file.`,
  EACCES: file => `${file}: this user may not read or write it.`,
  EPERM: file => `${file}: this user may not keep its owner and mode.`,
}

function fileError(file: string, error: unknown) {
  const { code = '' } = error as NodeJS.ErrnoException
  return new CommandError(FILE_ERRORS[code]?.(file) ?? `${file} cannot be read or written: ${code || error}.`)
}

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
