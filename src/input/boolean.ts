const WORDS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 'true', 'on', 'yes'].map(word => [word, true] as const),
  ...['0', 'false', 'off', 'no'].map(word => [word, false] as const),
])

/** Parses a boolean word like PHP's FILTER_VALIDATE_BOOLEAN; undefined for other words. */
export const parseBoolean = (word: string): boolean | undefined => WORDS.get(word)

/** Converts a boolean, number or word of a request body to a boolean; undefined for other values. */
export function toBoolean(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value
  return typeof value === 'string' || typeof value === 'number' ? parseBoolean(String(value)) : undefined
}
