import { Type } from 'typebox'
import { visibleTitle } from '#src/auth/name.ts'

/** A text of at most so many characters, which PostgreSQL can hold. */
export const Text = (most: number, description: string, example: string) =>
  Type.String({ minLength: 1, maxLength: most, pattern: '^[^\\u0000]*$', description, examples: [example] })

/**
 * What is meant by the name of a list or of a token: what can be seen of it, and nothing by one of which nothing can, for
 * the schema to refuse. What is no text is returned as it is.
 */
export const titleOf = (value: unknown): unknown =>
  typeof value === 'string' ? visibleTitle(value) || null : value

/** One of some labels. */
export const Label = <const Labels extends readonly string[]>(
  labels: Labels,
  description: string,
  example: Labels[number],
) => Type.Unsafe<Labels[number]>({ enum: [...labels], description, examples: [example] })

/**
 * What is meant where a label is expected: a label in any case, or the number that stands for it. What is neither is
 * returned as it is, for the schema to refuse.
 */
export const labelOf =
  (labels: readonly string[]) =>
  (value: unknown): unknown => {
    if (typeof value !== 'string' && typeof value !== 'number') return value
    const text = String(value)
    const label = labels.find(candidate => candidate.toLowerCase() === text.toLowerCase())
    return label ?? (/^\d{1,3}$/.test(text) ? labels[Number(text)] : undefined) ?? value
  }
