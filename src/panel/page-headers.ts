/** The headers of the panel's pages, which load their own stylesheet and script, and nothing of anybody else's. */
export const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  // Without an origin a form could not show that it is ours.
  'referrer-policy': 'same-origin',
}
