import type { Loader } from '#src/auth/row-loader.ts'

/** A request of a route that declares a loader. All others do not compile as one. */
interface Loaded<Row> {
  readonly routeOptions: { readonly config: { readonly access: { readonly load: Loader<Row> } } }
}

/** Rows by request. Only the guard adds to them, and only those that the caller may use. */
const rows = new WeakMap<object, unknown>()

/** The row that a request's path names, which the guard has loaded and judged before the handler runs. */
export function rowOf<Row>(request: Loaded<Row>): Row {
  if (!rows.has(request)) throw new Error('The row was not loaded.')
  return rows.get(request) as Row
}

/** Hands a row to the handler of a request. For the guard alone. */
export const keepRow = (request: object, row: unknown): void => {
  rows.set(request, row)
}
