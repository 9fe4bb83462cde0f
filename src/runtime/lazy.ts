/**
 * Creates a value on first use. An LRUCache allocates memory for its maximum at once, which took a third of the startup
 * time.
 */
export function lazy<T extends object>(make: () => T): () => T {
  let value: T | undefined
  return () => {
    value ??= make()
    return value
  }
}
