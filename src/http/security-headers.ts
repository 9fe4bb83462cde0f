import type { Config } from '#src/config/config.ts'

/** Headers for data responses. HTML pages override the content security policy and the referrer policy. */
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
  // The XSS filters that this header controls leaked data across origins: 0 is the only safe value.
  'x-xss-protection': '0',
}

/** Returns the security headers. With HTTPS they include HSTS (RFC 6797). */
export function buildSecurityHeaders({
  appUrl,
  hstsMaxAge,
  hstsIncludeSubdomains,
  hstsPreload,
}: Pick<Config, 'appUrl' | 'hstsMaxAge' | 'hstsIncludeSubdomains' | 'hstsPreload'>): Record<string, string> {
  if (appUrl.protocol !== 'https:') return SECURITY_HEADERS
  const hsts = [
    `max-age=${hstsMaxAge}`,
    ...(hstsIncludeSubdomains ? ['includeSubDomains'] : []),
    ...(hstsPreload ? ['preload'] : []),
  ]
  return { ...SECURITY_HEADERS, 'strict-transport-security': hsts.join('; ') }
}

/** Returns the headers of every response: the security headers, and `Vary`, since the CORS headers depend on the origin. */
export const commonHeaders = (
  config: Parameters<typeof buildSecurityHeaders>[0],
): Record<string, string> => ({
  ...buildSecurityHeaders(config),
  vary: 'Origin',
})
