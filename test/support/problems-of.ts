import { ConfigError, loadConfig } from '#src/config/load.ts'

/** What keeps a server with these settings from starting, a line each. */
export function problemsOf(environment: Record<string, string>): string[] {
  try {
    loadConfig(environment)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.message.split('\n')
  }
}
