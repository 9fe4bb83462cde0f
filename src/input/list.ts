import { Type } from 'typebox'
import { normalizeTitle } from '#src/auth/name.ts'

/** Text with something visible and without a NUL, which PostgreSQL cannot store. Matches in linear time. */
export const NOT_BLANK = '^(?=\\s*\\S)[^\\u0000]*$'

/** Text of limited length, with something visible. */
export const Text = (most: number, description: string, example: string) =>
  Type.String({ minLength: 1, maxLength: most, pattern: NOT_BLANK, description, examples: [example] })

/**
 * Normalizes the name of a list or token; null if nothing visible remains, for the schema to refuse. Other types are
 * returned unchanged.
 */
export const toTitle = (value: unknown): unknown =>
  typeof value === 'string' ? normalizeTitle(value) || null : value

/** An enumeration of labels. */
export const Label = <const Labels extends readonly string[]>(
  labels: Labels,
  description: string,
  example: Labels[number],
) => Type.Unsafe<Labels[number]>({ enum: [...labels], description, examples: [example] })

/** Parses a label, in any case or by its number. Other values are returned unchanged, for the schema to refuse. */
export const toLabel =
  (labels: readonly string[]) =>
  (value: unknown): unknown => {
    if (typeof value !== 'string' && typeof value !== 'number') return value
    const text = String(value)
    const label = labels.find(candidate => candidate.toLowerCase() === text.toLowerCase())
    return label ?? (/^\d{1,3}$/.test(text) ? labels[Number(text)] : undefined) ?? value
  }
