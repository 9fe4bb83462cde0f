/** A row that was found: its outputs by name, and what was included. Rows that several owners share are one object. */
export interface Found {
  values: Record<string, unknown>
  related: ReadonlyMap<string, Found | Found[] | null>
  /** What the table through which it was found says. */
  pivot?: Readonly<Record<string, unknown>>
}

/** The most rows that an answer includes, each as often as it is shown. */
export const MOST_INCLUDED = 50_000

/** What an answer would include is more than {@link MOST_INCLUDED}. */
export class TooMuchIncluded extends Error {
  override readonly name = 'TooMuchIncluded'
}

/** @throws {TooMuchIncluded} when rows include too much, which few rows do that are shown in many places */
export function bounded(found: Found[]): Found[] {
  const sizes = new Map<Found, number>()
  const sizeOf = (row: Found): number => {
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
  if (included > MOST_INCLUDED) throw new TooMuchIncluded()
  return found
}
