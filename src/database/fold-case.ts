import { type RawBuilder, sql } from 'kysely'

/**
 * Text without case, for letters of all scripts: what `lower()` does depends on the locale of the database, where `C`
 * folds only ASCII and Turkish folds I to ı. The migration `0018_case_folding` defines the function.
 */
export const foldCase = (text: RawBuilder<unknown>): RawBuilder<string> => sql`fold_case(${text})`

/** Text without the case of ASCII letters, which is equal in every version of every database: for unique indexes. */
export const foldAscii = (text: RawBuilder<unknown>): RawBuilder<string> => sql`lower(${text} collate "C")`
