import type { FastifyServerOptions } from 'fastify'
import type { Config } from '#src/config/config.ts'

/** Names under which something could be logged that nobody may read there. */
const SECRET_NAMES = ['authorization', 'cookie', 'set-cookie', 'password', 'token', 'secret', 'key']

/** Structured logs, one JSON object a line, in which secrets cannot stand. */
export function loggerOptions(
  level: Config['logLevel'],
  stream?: { write(line: string): void },
): FastifyServerOptions['logger'] {
  return {
    level,
    ...(stream && { stream }),
    redact: {
      paths: SECRET_NAMES.flatMap(name => [`["${name}"]`, `*["${name}"]`, `*.headers["${name}"]`]),
      censor: '[redacted]',
    },
    serializers: { err: describeError },
  }
}

interface Described {
  type: string
  message: string
  stack: string
  code?: unknown
  cause?: Described
  [key: string]: unknown
}

/** Errors of databases carry their parameters and rows along: only what is known to be harmless is logged. */
function describeError(error: unknown): Described {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error), stack: '' }
  const { code, cause, stack = '' } = error as Error & { code?: unknown }
  return {
    type: error.name,
    message: error.message,
    stack,
    ...(code !== undefined && { code }),
    ...(cause !== undefined && { cause: describeError(cause) }),
  }
}
