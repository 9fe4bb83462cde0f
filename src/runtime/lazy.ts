/**
 * A value that is made when it is first asked for. An LRUCache allocates room for all that it may ever hold, which took
 * a third of a start.
 */
export function lazy<T extends object>(make: () => T): () => T {
  let value: T | undefined
  return () => {
    value ??= make()
    return value
  }
}
