/** Headers as Node's `writeHead()` and `setHeader()` pass them on: by name, or names and values in turn. */
export type OutgoingHeaders = Readonly<Record<string, unknown>> | readonly unknown[] | null | undefined

/** Headers of every response, formatted once. */
export interface FixedHeaders {
  /** Returns their lines (RFC 9112 §5), without those that the response has itself. */
  linesBeside(own: OutgoingHeaders): string
}

/**
 * Formats headers that do not change. Setting, validating and formatting them for each response takes longer than
 * authenticating its request.
 *
 * @param headers by lowercase name, with valid values
 */
export function formatFixedHeaders(headers: Readonly<Record<string, string>>): FixedHeaders {
  const lines = new Map(Object.entries(headers).map(([name, value]) => [name, `${name}: ${value}\r\n`]))
  const all = [...lines.values()].join('')

  const linesWithout = (names: readonly string[]) => {
    const own = new Set(names.map(name => name.toLowerCase()))
    return [...lines].map(([name, line]) => (own.has(name) ? '' : line)).join('')
  }

  return {
    linesBeside(own) {
      if (own === null || own === undefined) return all
      if (Array.isArray(own)) return linesWithout(own.filter((_, index) => index % 2 === 0).map(String))
      for (const name in own) if (lines.has(name.toLowerCase())) return linesWithout(Object.keys(own))
      return all
    },
  }
}
