import { distance } from 'fastest-levenshtein'
import type { Config } from './config.ts'
import { SETTINGS } from './settings.ts'

const NAMES: readonly string[] = Object.values(SETTINGS).map(({ name }) => name)
const KNOWN: ReadonlySet<string> = new Set(NAMES)

/** Names that are shorter are too much like others, such as PATH like PORT. */
const LEAST_LENGTH = 6

/** How many letters of how long a name may be wrong, missing or too many: API_URL is another name than APP_URL. */
const mistakesIn = (name: string) => (name.length < 8 ? 0 : name.length < 15 ? 1 : name.length < 18 ? 2 : 3)

/** Parts of names that are shorter stand in others as well. */
const LEAST_PART = 12

/** The letters of a name, in whatever order, without what stands between its words. */
const lettersOf = (name: string) => [...name.replaceAll('_', '')].sort().join('')

/** A name with each of its words in the singular, as far as spelling tells. */
const singular = (name: string) =>
  name
    .split('_')
    .map(word => word.replace(/IES$/, 'Y').replace(/(?<=[^S])S$/, ''))
    .join('_')

/** The setting that was probably meant by the name of a variable; null when none was, or it is right. */
function meantBy(name: string): string | null {
  if (name.length < LEAST_LENGTH || KNOWN.has(name)) return null
  const written = name.toUpperCase()
  let best: { known: string; mistakes: number } | null = null
  for (const known of NAMES) {
    const isPart =
      written.length >= LEAST_PART && (known.endsWith(`_${written}`) || known.startsWith(`${written}_`))
    const isTurned = lettersOf(written) === lettersOf(known)
    const mistakes = isPart || isTurned ? 0 : distance(singular(written), singular(known))
    if (mistakes <= mistakesIn(known) && mistakes < (best?.mistakes ?? Number.POSITIVE_INFINITY)) {
      best = { known, mistakes }
    }
  }
  return best?.known ?? null
}

/**
 * What whoever runs the server should know of its settings, in sentences: variables that look like settings and are
 * none, and in production what is missing for safety, though the server runs without.
 *
 * @param environment the variables that the settings were read from; their values are not told
 */
export function configWarnings(
  config: Config,
  environment: Readonly<Record<string, string | undefined>>,
): string[] {
  const warnings: string[] = []
  for (const name of Object.keys(environment)) {
    const known = meantBy(name)
    if (known !== null) warnings.push(`${name} is no setting of this server: did you mean ${known}?`)
  }
  if (config.appEnv !== 'production') return warnings
  if (!environment.APP_URL) {
    warnings.push(
      `APP_URL is not set, and so it is ${config.appUrl.origin}: links in mails lead there, and requests that name another host are refused. Set it to the address that browsers use.`,
    )
  }
  if (config.hashidsSalt === '') {
    warnings.push(
      'HASHIDS_SALT_PLAYLISTS is empty: ids of playlists that were not unlisted from the beginning can be guessed. Set it to a random text, or to the salt that Laravel has; ids that exist stay as they are.',
    )
  }
  if (config.mailUrl === null) {
    warnings.push(
      'MAIL_URL is not set: no mail is sent, so that nobody can verify an e-mail address, set a forgotten password, or hear of a stolen account.',
    )
  }
  if (config.appUrl.protocol === 'http:' && config.allowInsecureHttp) {
    warnings.push(
      `ALLOW_INSECURE_HTTP=true and APP_URL=${config.appUrl.href}: anybody on the way can read passwords, tokens and cookies.`,
    )
  }
  return warnings
}
