type Write = (details: object, message: string) => void

/** What services log with: the part of pino's interface that they use. */
export interface Log {
  info: Write
  warn: Write
  error: Write
}
