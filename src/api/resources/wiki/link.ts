/** Returns the URL of a file below its base URL; null where either is unknown. */
export function linkBelow(base: string | null, path: unknown): string | null {
  if (base === null || typeof path !== 'string') return null
  return `${base.replace(/\/+$/, '')}/${path.replace(/^\/+/, '').split('/').map(encodeURIComponent).join('/')}`
}
