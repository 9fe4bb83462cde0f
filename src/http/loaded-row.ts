import type { Loader } from '#src/auth/row-loader.ts'

/** A request of a route that declares a loader, checked at compile time. */
interface RequestWithRow<Row> {
  readonly routeOptions: { readonly config: { readonly access: { readonly load: Loader<Row> } } }
}

/** Rows by request. Only the access guard adds rows, after authorization. */
const rows = new WeakMap<object, unknown>()

/** Returns the row that a request's path names, loaded and authorized by the access guard. */
export function rowOf<Row>(request: RequestWithRow<Row>): Row {
  if (!rows.has(request)) throw new Error('The row was not loaded.')
  return rows.get(request) as Row
}

/** Attaches a row to a request. Only for the access guard. */
export const attachRow = (request: object, row: unknown): void => {
  rows.set(request, row)
}
