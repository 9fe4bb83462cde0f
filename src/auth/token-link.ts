import type { Secret } from './secret.ts'

/** Returns the URL of a page with a token as `?token=`, for a mail. */
export function tokenLink(page: URL, token: Secret): string {
  const url = new URL(page)
  url.searchParams.set('token', token.reveal())
  return url.href
}
