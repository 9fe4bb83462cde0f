/** Thrown by a setting's parser with the expected form, which becomes a line of ConfigError. */
export class ExpectedValue extends Error {}

/** An environment variable: its documentation and its parser. */
export interface Setting<T> {
  name: string
  /** The text for an absent variable; null for a null value. */
  fallback: null extends T ? string | null : string
  /** The documented default, where it differs from `fallback`. */
  defaultNote?: string
  about: string
  /** Whether the value is never printed. */
  secret?: boolean
  /** Whether an empty variable is a value, instead of absent. */
  emptyIsValue?: boolean
  parse(text: string): T
}

/** Declares a setting. The parser determines the type of its value. */
export const setting = <T>(definition: Setting<T>) => definition
