type Write = (details: object, message: string) => void

/** The part of pino's interface that use-cases log with. */
export interface Log {
  info: Write
  warn: Write
  error: Write
}
