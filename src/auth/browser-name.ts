/** Programs by patterns of `User-Agent`, specific ones first: most browsers also name other browsers. */
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

const findName = (text: string, names: typeof PROGRAMS) => names.find(([pattern]) => pattern.test(text))?.[1]

/** How much of a `User-Agent` is matched: a client may send a header of any allowed length. */
const MAX_LENGTH = 500

/**
 * Names a program by its `User-Agent` (RFC 9110 §10.1.5), for example `Firefox on Linux`. The name has no version, so
 * that it survives updates, and is always one of a fixed set of texts.
 */
export function browserName(userAgent: string | undefined): string {
  const text = (userAgent ?? '').slice(0, MAX_LENGTH)
  const program = findName(text, PROGRAMS)
  const system = findName(text, SYSTEMS)
  if (program === undefined) return system === undefined ? 'an unknown program' : `a program on ${system}`
  return system === undefined ? program : `${program} on ${system}`
}
