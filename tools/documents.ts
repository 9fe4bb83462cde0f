import type { Command, Option } from 'commander'
import type { Setting } from '#src/config/setting.ts'
import { SETTINGS } from '#src/config/settings.ts'

const settings = Object.values(SETTINGS) as Setting<unknown>[]

const row = (...cells: string[]) => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`

/** The README's table of settings, made from the settings. */
export function settingsTable(): string {
  const rows = settings.map(({ name, fallback, defaultNote, about }) =>
    row(`\`${name}\``, defaultNote ?? (fallback ? `\`${fallback}\`` : 'empty'), about),
  )
  return [row('variable', 'default', 'meaning'), '|---|---|---|', ...rows].join('\n')
}

/** The whole of .env.example, made from the settings. */
export function envExample(): string {
  const entries = settings.map(({ name, fallback, defaultNote, about }) => {
    const standard = defaultNote ?? (fallback || 'empty')
    return `# ${about.replaceAll('`', '')}\n# Default: ${standard.replaceAll('`', '')}\n# ${name}=${fallback ?? ''}\n`
  })
  return [
    '# Every setting with its default. Copy to .env and uncomment what you change; the environment comes first.\n',
    ...entries,
  ].join('\n')
}

/** The README's table of commands, made from the commands. */
export function commandsTable(program: Command): string {
  const leaves = (command: Command, path: string): [string, Command][] =>
    command.commands.length === 0
      ? [[path, command]]
      : command.commands.flatMap(child => leaves(child, `${path} ${child.name()}`.trim()))
  const usage = (command: Command) => [
    ...command.registeredArguments.map(argument =>
      argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
    ),
    ...command.options.map(optionUsage),
  ]
  const rows = leaves(program, '').map(([path, command]) =>
    row(`\`${[path, ...usage(command)].join(' ')}\``, command.description()),
  )
  return [row('command', 'what it does'), '|---|---|', ...rows].join('\n')
}

const optionUsage = (option: Option) => {
  const repeated = Array.isArray(option.defaultValue) ? '…' : ''
  return option.mandatory ? option.flags : `[${option.flags}]${repeated}`
}
