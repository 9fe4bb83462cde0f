/** The headers of panel pages. They load their own stylesheet and script, and nothing else. */
export const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  // Forms need the Origin header, as proof that they are from the panel.
  'referrer-policy': 'same-origin',
}
