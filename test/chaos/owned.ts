import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const ends = new Set<() => void>()

/**
 * Ends a resource when this process exits for any reason.
 *
 * @param end is called synchronously
 * @returns ends it at once
 */
export function own(end: () => void): () => void {
  ends.add(end)
  return () => {
    if (ends.delete(end)) end()
  }
}

/** A temporary folder that is removed when this process exits, unless it is kept. */
export function ownFolder(name: string): { path: string; remove: () => void; keep: () => void } {
  const path = mkdtempSync(join(tmpdir(), `animethemes-auth-chaos-${name}-`))
  let isKept = false
  const remove = own(() => {
    // Processes that were just killed may still write.
    if (!isKept) rmSync(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  })
  const keep = () => {
    isKept = true
  }
  return { path, remove, keep }
}

process.once('exit', () => {
  // Folders were created before the processes that use them.
  for (const end of [...ends].reverse()) {
    try {
      end()
    } catch {}
  }
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(130))
}
