import type { FastifyServerOptions } from 'fastify'
import type { Config } from '#src/config/config.ts'

/** The names of fields whose values are redacted. */
const SECRET_FIELDS = ['authorization', 'cookie', 'set-cookie', 'password', 'token', 'secret', 'key']

/** Returns the options for structured logs: one JSON object per line, with secrets redacted. */
export function loggerOptions(
  level: Config['logLevel'],
  stream: { write(line: string): void },
): FastifyServerOptions['logger'] {
  return {
    level,
    stream,
    redact: {
      paths: SECRET_FIELDS.flatMap(name => [`["${name}"]`, `*["${name}"]`, `*.headers["${name}"]`]),
      censor: '[redacted]',
    },
    serializers: { err: serializeError },
  }
}

interface SerializedError {
  type: string
  message: string
  stack: string
  code?: unknown
  cause?: SerializedError
  [key: string]: unknown
}

/** Serializes known properties only: database errors contain query parameters and rows. */
function serializeError(error: unknown): SerializedError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error), stack: '' }
  const { code, cause, stack = '' } = error as Error & { code?: unknown }
  return {
    type: error.name,
    message: error.message,
    stack,
    ...(code !== undefined && { code }),
    ...(cause !== undefined && { cause: serializeError(cause) }),
  }
}
