const WORDS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 'true', 'on', 'yes'].map(word => [word, true] as const),
  ...['0', 'false', 'off', 'no'].map(word => [word, false] as const),
])

/** The truth value that a word stands for, as PHP's FILTER_VALIDATE_BOOLEAN knows them; undefined for other words. */
export const parseBoolean = (word: string): boolean | undefined => WORDS.get(word)

/** The truth value that a value of a body stands for: itself, a number or a word; undefined for anything else. */
export function truthOf(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value
  return typeof value === 'string' || typeof value === 'number' ? parseBoolean(String(value)) : undefined
}
