/**
 * Units of numbers, as types: a value of one unit cannot be passed where another is expected, and a plain number can be
 * passed as any of them. They exist for the compiler alone.
 */
type Unit<Name extends string> = number & { readonly unit?: Name }

/** A point in time: milliseconds since 1970-01-01T00:00:00Z. */
export type EpochMillis = Unit<'EpochMillis'>

/** A point in time: seconds since 1970-01-01T00:00:00Z. */
export type EpochSeconds = Unit<'EpochSeconds'>

/** A point in time of a clock that is never set: milliseconds since some fixed moment. */
export type MonotonicMillis = Unit<'MonotonicMillis'>

/** A duration in milliseconds. */
export type Millis = Unit<'Millis'>

/** A duration in seconds. */
export type Seconds = Unit<'Seconds'>

/** A size in bytes. */
export type Bytes = Unit<'Bytes'>
