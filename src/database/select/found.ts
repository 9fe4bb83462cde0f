/** A selected row: its outputs and includes by name. Rows that several owners share are one object. */
export interface FoundRow {
  values: Record<string, unknown>
  related: ReadonlyMap<string, FoundRow | FoundRow[] | null>
  /** The values of the pivot table's columns. */
  pivot?: Readonly<Record<string, unknown>>
}

/** Makes a row without includes from known values. */
export const withoutIncludes = (values: FoundRow['values']): FoundRow => ({ values, related: NO_INCLUDES })

const NO_INCLUDES: FoundRow['related'] = new Map()

/** The maximum of included rows in a response, counted at each occurrence. */
export const MAX_INCLUDED = 50_000

/** A response would include more than {@link MAX_INCLUDED} rows. */
export class TooManyIncluded extends Error {
  override readonly name = 'TooMuchIncluded'
}

/**
 * Returns the rows if they do not include too much. A few rows can exceed the limit when they are shared by many
 * owners.
 *
 * @throws {TooManyIncluded}
 */
export function requireIncludeLimit(found: FoundRow[]): FoundRow[] {
  const sizes = new Map<FoundRow, number>()
  const sizeOf = (row: FoundRow): number => {
    const known = sizes.get(row)
    if (known !== undefined) return known
    let size = 1
    for (const related of row.related.values()) {
      for (const other of related === null ? [] : [related].flat()) size += sizeOf(other)
    }
    sizes.set(row, size)
    return size
  }
  const included = found.reduce((sum, row) => sum + sizeOf(row) - 1, 0)
  if (included > MAX_INCLUDED) throw new TooManyIncluded()
  return found
}
