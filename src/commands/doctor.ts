import { Command, InvalidArgumentError } from 'commander'
import type { Config } from '#src/config/config.ts'
import { loadConfig } from '#src/config/load.ts'
import { siteAddress } from '#src/config/parsers.ts'
import { basePath } from '#src/config/public-url.ts'
import { configWarnings } from '#src/config/warnings.ts'
import { connectDatabase } from '#src/database/connect.ts'
import { requireUtf8 } from '#src/database/encoding.ts'
import { DatabaseUnavailable } from '#src/database/unavailable.ts'
import { apiOriginFor, predictBrowser } from './browser-check.ts'
import { type CommandContext, CommandError } from './context.ts'

/** `doctor`: checks the database, and predicts from the settings how browsers treat cookies on a page of some origin. */
export const doctorCommand = (context: CommandContext) =>
  new Command('doctor')
    .description('check whether pages of an origin can log in with cookies')
    .requiredOption('--origin <origin>', "the page's origin, such as http://localhost:3000", parseOrigin)
    .option(
      '--api <url>',
      "the URL at which the page calls this server (default: APP_URL, by the page's own name of this machine if both are local)",
      parseSite,
    )
    .action(async (options: { origin: URL; api?: URL }) => {
      const config = loadConfig(context.environment)
      for (const warning of configWarnings(config, context.environment)) context.warn(warning)
      if (config.databaseUrl !== null) await checkDatabase(config, context)
      const { origin, api = apiOriginFor(config, origin) } = options
      const findings = predictBrowser(config, origin, api)
      const site = api.origin + basePath(api)
      context.print(`A page on ${origin.origin} that calls ${site}:`)
      for (const { isProblem, text } of findings) context.print(`${isProblem ? '  ✗' : '  ✓'} ${text}`)
      const problems = findings.filter(({ isProblem, concernsLinks }) => isProblem && !concernsLinks).length
      if (problems > 0) {
        throw new CommandError(
          `${problems === 1 ? 'One problem prevents' : `${problems} problems prevent`} that page from working with cookies.`,
        )
      }
      context.print(
        `It can log in: GET ${site}/sanctum/csrf-cookie, then POST ${site}${config.authPath}/login.`,
      )
      if (findings.some(({ isProblem }) => isProblem)) {
        throw new CommandError('It can log in, but links in mails do not lead back to its session.')
      }
    })

/** @throws {UnsupportedEncoding} for a database that the server refuses; warns of one that is not reached */
async function checkDatabase(config: Config, context: CommandContext) {
  const database = connectDatabase(config, { command: 'doctor', share: true, onLostConnection: () => {} })
  try {
    await requireUtf8(database.kysely)
  } catch (error) {
    if (!(error instanceof DatabaseUnavailable)) throw error
    context.warn(error.message)
  } finally {
    await database.close()
  }
}

function parseOrigin(text: string): URL {
  const url = parseSite(text)
  if (url.pathname !== '/') throw new InvalidArgumentError('expected an origin such as http://localhost:3000')
  return url
}

function parseSite(text: string): URL {
  try {
    return siteAddress(text)
  } catch {
    throw new InvalidArgumentError('expected an origin such as http://localhost:3000')
  }
}
