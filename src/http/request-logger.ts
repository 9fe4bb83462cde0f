import type { FastifyBaseLogger } from 'fastify'

const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const

type Level = (typeof LEVELS)[number]

/**
 * The logger of one request, whose lines have the request's id. The child logger is created with the first line: most
 * requests write at most one.
 */
class RequestLogger {
  private readonly parent: FastifyBaseLogger
  private readonly reqId: string
  private created: FastifyBaseLogger | null = null

  constructor(parent: FastifyBaseLogger, reqId: string) {
    this.parent = parent
    this.reqId = reqId
  }

  get level() {
    return this.parent.level
  }

  set level(level) {
    this.own.level = level
  }

  child(bindings: object, options?: object): FastifyBaseLogger {
    return this.own.child(bindings as never, options as never)
  }

  silent() {}

  private get own(): FastifyBaseLogger {
    this.created ??= this.parent.child({ reqId: this.reqId })
    return this.created
  }

  /** Writes a line if its level is enabled. */
  write(level: Level, args: unknown[]) {
    const target = this.created ?? this.parent
    const isWritten = (target as { isLevelEnabled?(level: string): boolean }).isLevelEnabled?.(level) ?? true
    if (isWritten) (this.own[level] as (...args: unknown[]) => void)(...args)
  }
}

for (const level of LEVELS) {
  Object.defineProperty(RequestLogger.prototype, level, {
    value(this: RequestLogger, ...args: unknown[]) {
      this.write(level, args)
    },
  })
}

/** Creates the logger of a request with an id. */
export const requestLogger = (parent: FastifyBaseLogger, id: string): FastifyBaseLogger =>
  new RequestLogger(parent, id) as unknown as FastifyBaseLogger
