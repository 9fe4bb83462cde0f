import type { FastifyBaseLogger } from 'fastify'

const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const

type Level = (typeof LEVELS)[number]

/**
 * The logger of one request. The child logger with its bindings is created with the first line: most requests write at
 * most one.
 */
class RequestLogger {
  readonly #parent: FastifyBaseLogger
  readonly #bindings: object
  #child: FastifyBaseLogger | undefined

  constructor(parent: FastifyBaseLogger, bindings: object) {
    this.#parent = parent
    this.#bindings = bindings
  }

  get level() {
    return this.#parent.level
  }

  set level(level) {
    this.#own.level = level
  }

  child(bindings: object, options?: object): FastifyBaseLogger {
    return this.#own.child(bindings as never, options as never)
  }

  silent() {}

  get #own(): FastifyBaseLogger {
    this.#child ??= this.#parent.child(this.#bindings as never)
    return this.#child
  }

  /** Writes a line if its level is enabled. */
  write(level: Level, args: unknown[]) {
    const target = this.#child ?? this.#parent
    const isWritten = (target as { isLevelEnabled?(level: string): boolean }).isLevelEnabled?.(level) ?? true
    if (isWritten) (this.#own[level] as (...args: unknown[]) => void)(...args)
  }
}

for (const level of LEVELS) {
  Object.defineProperty(RequestLogger.prototype, level, {
    value(this: RequestLogger, ...args: unknown[]) {
      this.write(level, args)
    },
  })
}

/** Creates the logger of a request, for Fastify's `childLoggerFactory`. */
export const requestLogger = (parent: FastifyBaseLogger, bindings: object): FastifyBaseLogger =>
  new RequestLogger(parent, bindings) as unknown as FastifyBaseLogger
