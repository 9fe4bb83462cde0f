import type { Config } from '#src/config/config.ts'

/** What an answer that is data carries. Pages of HTML replace the policies that would stop them. */
const SECURITY_HEADERS = {
  'cache-control': 'no-store, private',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-download-options': 'noopen',
  'x-frame-options': 'DENY',
  'x-permitted-cross-domain-policies': 'none',
  // The filters that this header drives leaked data across origins: off is the only safe value.
  'x-xss-protection': '0',
}

/** The headers of every answer; with HTTPS also the promise to stay with it (RFC 6797). */
export function securityHeaders({
  appUrl,
  hstsMaxAge,
  hstsIncludeSubdomains,
  hstsPreload,
}: Pick<Config, 'appUrl' | 'hstsMaxAge' | 'hstsIncludeSubdomains' | 'hstsPreload'>): Record<string, string> {
  if (appUrl.protocol !== 'https:') return SECURITY_HEADERS
  const promise = [
    `max-age=${hstsMaxAge}`,
    ...(hstsIncludeSubdomains ? ['includeSubDomains'] : []),
    ...(hstsPreload ? ['preload'] : []),
  ]
  return { ...SECURITY_HEADERS, 'strict-transport-security': promise.join('; ') }
}
