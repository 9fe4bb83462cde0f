/**
 * The bounds of a list's length and of a value's, in items and characters, and of how many relations all filters
 * together may ask for: the database plans each of them with all others.
 */
export const VALUE_LIMITS = { items: 100, characters: 1_000, search: 100, relations: 16 } as const

/** How many items a page has unless told otherwise, and at most. */
export const PAGE_SIZE = { standard: 15, most: 100 } as const
