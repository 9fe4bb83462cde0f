/** Programs by what stands in their `User-Agent`, the more special ones first: most browsers also name others. */
const PROGRAMS: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/\bEdg(e|A|iOS)?\//, 'Edge'],
  [/\b(OPR|OPT|Opera)\b/, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\bVivaldi\//, 'Vivaldi'],
  [/\b(Firefox|FxiOS)\//, 'Firefox'],
  [/\b(Chrome|CriOS|Chromium)\//, 'Chrome'],
  [/\bVersion\/.*\bSafari\//, 'Safari'],
  [/^curl\//i, 'curl'],
  [/^Wget\//i, 'Wget'],
  [/^python-/i, 'a Python program'],
  [/^(okhttp|Dalvik)\b/i, 'an Android app'],
  [/^Dart\//i, 'a Dart app'],
  [/^Go-http-client\//i, 'a Go program'],
  [/^(node|undici|axios)\b/i, 'a Node.js program'],
]

const SYSTEMS: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/\bWindows\b/, 'Windows'],
  [/\bAndroid\b/, 'Android'],
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bMac ?OS\b|\bMacintosh\b/, 'macOS'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bLinux\b/, 'Linux'],
]

const nameIn = (text: string, names: typeof PROGRAMS) => names.find(([pattern]) => pattern.test(text))?.[1]

/** What of a `User-Agent` is looked at: a client may send as much as headers may hold. */
const MOST = 500

/**
 * A program in words, by what it sends as its `User-Agent` (RFC 9110 §10.1.5): `Firefox on Linux`. It names no version,
 * so that it stays the same over updates, and is one of a fixed set of texts, whatever the client sends.
 */
export function browserName(userAgent: string | undefined): string {
  const text = (userAgent ?? '').slice(0, MOST)
  const program = nameIn(text, PROGRAMS)
  const system = nameIn(text, SYSTEMS)
  if (program === undefined) return system === undefined ? 'an unknown program' : `a program on ${system}`
  return system === undefined ? program : `${program} on ${system}`
}
