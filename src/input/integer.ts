const MAX_INTEGER = 2n ** 63n - 1n

/** Parses an integer as PHP does: optional sign, no leading zeros, 64 bits. Undefined for other text. */
export function parseInteger(text: string): string | undefined {
  if (!/^[+-]?(0|[1-9]\d{0,18})$/.test(text)) return undefined
  const value = BigInt(text.replace(/^\+/, ''))
  return value <= MAX_INTEGER && value >= -MAX_INTEGER - 1n ? String(value) : undefined
}
