import { type Config, deriveConfig } from './config.ts'
import { expandReferences } from './expand.ts'
import { contradictions, dangers } from './rules.ts'
import { ExpectedValue, type Setting } from './setting.ts'
import { SETTINGS, type Values } from './settings.ts'

/** The defaults of the settings that have one, by name. */
const FALLBACKS: ReadonlyMap<string, string> = new Map(
  Object.values(SETTINGS).flatMap(({ name, fallback }) => (fallback ? [[name, fallback] as const] : [])),
)

/** A URL without its user and password. */
const withoutUser = (text: string) => text.replace(/(?<=:\/\/)[^/?#\s]*@/g, '…@')

/** Invalid configuration, with one line per problem. */
export class ConfigError extends Error {
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'ConfigError'
  }
}

/**
 * Validates environment variables and returns a frozen configuration. `${NAME}` in a value is the value of another one.
 *
 * @throws {ConfigError} naming every invalid variable, its value (unless it is secret) and what is expected
 */
export function loadConfig(environment: Record<string, string | undefined>): Config {
  const problems: string[] = []
  const textOf = (name: string) =>
    (Object.hasOwn(environment, name) && environment[name]) || FALLBACKS.get(name)

  const read = <T>({ name, fallback, secret, emptyIsValue, parse }: Setting<T>): T | null => {
    const given = environment[name]
    const text = given === undefined || (given === '' && !emptyIsValue) ? fallback : given
    if (text === null) return null
    try {
      return parse(expandReferences(text, textOf, [name]))
    } catch (error) {
      if (!(error instanceof ExpectedValue)) throw error
      // A message may quote the value: what it refers to can be a secret.
      const message = text.includes('${') ? error.message.replace(/ \(not ".*"\)/s, '') : error.message
      problems.push(`${name}${secret ? '' : `=${withoutUser(text)}`}: expected ${message}`)
      return null
    }
  }

  const values = Object.fromEntries(
    Object.entries(SETTINGS).map(([key, definition]) => [key, read(definition as Setting<unknown>)]),
  ) as Values
  if (problems.length > 0) throw new ConfigError(problems)

  const config = deriveConfig(values)
  problems.push(...contradictions(config))
  if (config.appEnv === 'production') problems.push(...dangers(config))
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze(config)
}
