/** The address of a file below that of its kind; null where either is not known. */
export function linkBelow(base: string | null, path: unknown): string | null {
  if (base === null || typeof path !== 'string') return null
  return `${base.replace(/\/+$/, '')}/${path.replace(/^\/+/, '').split('/').map(encodeURIComponent).join('/')}`
}
