import type { Secret } from './secret.ts'

/** The link of a mail: a page, with the token that opens something as `?token=`. */
export function tokenLink(page: URL, token: Secret): string {
  const url = new URL(page)
  url.searchParams.set('token', token.reveal())
  return url.href
}
