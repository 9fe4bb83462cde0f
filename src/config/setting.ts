/** What a value may be. Thrown by a setting's parser, turned into one line of a ConfigError. */
export class Expected extends Error {}

/** One environment variable: how it is documented, and how its text becomes a value. */
export interface Setting<T> {
  name: string
  /** The text that stands in for an absent variable; null when there is none, and then the value may be null. */
  fallback: null extends T ? string | null : string
  /** The default as documented, where it is not simply `fallback`. */
  defaultNote?: string
  about: string
  /** Its value is never printed. */
  secret?: boolean
  /** Whether `NAME=` with nothing behind it is a value of its own, and not the same as absent. */
  emptyIsValue?: boolean
  parse(text: string): T
}

/** Declares a setting; its parser types its value. */
export const setting = <T>(definition: Setting<T>) => definition
