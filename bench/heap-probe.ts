/** Loaded into a server by --import, with --expose-gc: answers a message with the bytes in use once garbage is gone. */
process.on('message', () => {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  process.send?.(heapUsed + external)
})
