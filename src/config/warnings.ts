import { distance } from 'fastest-levenshtein'
import { lazy } from '#src/runtime/lazy.ts'
import type { Config } from './config.ts'
import { parseDatabaseUrl } from './database-url.ts'
import { SETTINGS } from './settings.ts'

const KNOWN: ReadonlySet<string> = new Set(Object.values(SETTINGS).map(({ name }) => name))

/** Shorter names are too similar to others, for example PATH and PORT. */
const MIN_LENGTH = 6

/** The allowed edit distance by the length of a name. For short names it is 0: API_URL is not a misspelt APP_URL. */
const maxMistakes = (name: string) => (name.length < 8 ? 0 : name.length < 15 ? 1 : name.length < 18 ? 2 : 3)

/** Shorter parts occur in many names. */
const MIN_PART_LENGTH = 12

/** The sorted letters of a name, to compare names with swapped words. */
const sortLetters = (name: string) => [...name.replaceAll('_', '')].sort().join('')

/** A name with each word in the singular, by spelling. */
const toSingular = (name: string) =>
  name
    .split('_')
    .map(word => word.replace(/IES$/, 'Y').replace(/(?<=[^S])S$/, ''))
    .join('_')

/** The settings in the forms that are compared. */
const comparedNames = lazy(() =>
  [...KNOWN].map(name => ({ name, letters: sortLetters(name), singular: toSingular(name) })),
)

/** The setting that a name probably misspells; null for none, and for a correct name. */
function findMisspelledSetting(name: string): string | null {
  if (name.length < MIN_LENGTH || KNOWN.has(name)) return null
  const written = name.toUpperCase()
  const letters = sortLetters(written)
  const singular = toSingular(written)
  let best: { name: string; mistakes: number } | null = null
  for (const known of comparedNames()) {
    const isPart =
      written.length >= MIN_PART_LENGTH &&
      (known.name.endsWith(`_${written}`) || known.name.startsWith(`${written}_`))
    const max = maxMistakes(known.name)
    const mistakes =
      isPart || letters === known.letters
        ? 0
        : // The distance is at least the difference of the lengths, which is much faster.
          Math.abs(singular.length - known.singular.length) > max
          ? Number.POSITIVE_INFINITY
          : distance(singular, known.singular)
    if (mistakes <= max && mistakes < (best?.mistakes ?? Number.POSITIVE_INFINITY)) {
      best = { name: known.name, mistakes }
    }
  }
  return best?.name ?? null
}

/**
 * Warnings for the operator: variables that look like misspelt settings, and in production missing settings that
 * matter for security but are not required.
 *
 * @param environment the variables of the settings; their values are not printed
 */
export function configWarnings(
  config: Config,
  environment: Readonly<Record<string, string | undefined>>,
): string[] {
  const warnings: string[] = []
  for (const name of Object.keys(environment)) {
    const known = findMisspelledSetting(name)
    if (known !== null) warnings.push(`${name} is not a setting of this server: did you mean ${known}?`)
  }
  if (config.appEnv !== 'production') return warnings
  if (!environment.APP_URL) {
    warnings.push(
      `APP_URL is not set and defaults to ${config.appUrl.origin}: links in mails lead there, and requests for other hosts are refused. Set it to the public URL.`,
    )
  }
  if (config.hashidsSalt === '') {
    warnings.push(
      "HASHIDS_SALT_PLAYLISTS is empty: ids of playlists that were not created as unlisted can be guessed. Set it to a random text, or to Laravel's salt. Existing ids do not change.",
    )
  }
  if (config.mailUrl === null) {
    warnings.push(
      'MAIL_URL is not set: no mail is sent, so users cannot verify an e-mail address, reset a password, or be notified of a stolen account.',
    )
  }
  if (config.databaseUrl !== null) {
    const { ssl } = parseDatabaseUrl(config.databaseUrl)
    if (ssl && ssl.rejectUnauthorized === false) {
      warnings.push(
        'DATABASE_URL has an sslmode without a certificate authority: the connection is encrypted, but the server is not verified. Use sslmode=verify-full.',
      )
    }
  }
  if (config.appUrl.protocol === 'http:' && config.allowInsecureHttp) {
    warnings.push(
      `ALLOW_INSECURE_HTTP=true and APP_URL=${config.appUrl.href}: the network can read passwords, tokens and cookies.`,
    )
  }
  return warnings
}
