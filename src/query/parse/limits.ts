/**
 * The maximum items of a list, characters of a value and of a search, and relations in all filters together: the
 * database plans each of them with all others.
 */
export const VALUE_LIMITS = { items: 100, characters: 1_000, search: 100, relations: 16 } as const

/** The default and maximum page size. */
export const PAGE_SIZE = { default: 15, max: 100 } as const
