/**
 * Loaded into a server by --import, with --expose-gc: replies to a message with the bytes in use after garbage
 * collection.
 */
process.on('message', () => {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  process.send?.(heapUsed + external)
})
