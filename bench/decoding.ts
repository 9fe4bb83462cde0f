import { nestPairs, parseForm, parseMultipartPairs } from '#src/http/form.ts'
import { requireLimitedValues } from '#src/input/json-size.ts'
import { requestCeiling } from '#src/limits/ceiling.ts'
import { clientAddressResolver } from '#src/limits/client-address.ts'

const KILOBYTE = 1024
const SIZES = [256, 512, 1024] as const
const REPEATS = 5
const CEILING_CALLS = 1_000_000

const MULTIPART = 'multipart/form-data; boundary=x'

/** A multipart form with one field. */
const part = (value: string) => `--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n${value}\r\n--x--`

/** Repeats a text up to a size in bytes. */
const fill = (text: string, size: number) => text.repeat(Math.ceil(size / text.length))

const readForm = (text: string) => parseForm(text)
const readMultipart = (text: string) => nestPairs(parseMultipartPairs(MULTIPART, Buffer.from(text, 'latin1')))

/** The most expensive bodies for their size, by parser. */
const BODIES: [name: string, read: (text: string) => unknown, body: (size: number) => string][] = [
  ['form of %41', readForm, size => `a=${fill('%41', size)}`],
  ['form of %e4%bd%a0', readForm, size => `a=${fill('%e4%bd%a0', size)}`],
  ['form of 100 × a%5Bb%5D=', readForm, size => `a%5Bb%5D=${fill('%41', size / 100 - 13)}&`.repeat(100)],
  ['form of +', readForm, size => fill('+', size)],
  ['form of &', readForm, size => fill('&', size)],
  ['form of [', readForm, size => fill('[', size)],
  ['form of []', readForm, size => `a${fill('[]', size)}`],
  ['form of bytes', readForm, size => `a=${fill('\xff', size)}`],
  ['parts, \\r', readMultipart, size => part(fill('\r', size))],
  ['parts, \\r\\n--', readMultipart, size => part(fill('\r\n--', size))],
  ['JSON of digits', requireLimitedValues, size => fill('1', size)],
  ['JSON of \\"', requireLimitedValues, size => `["${fill('\\"', size)}"]`],
]

/** Returns the shortest duration of some work; errors count as completion. */
function bestOf(work: () => unknown): number {
  const times = Array.from({ length: REPEATS }, () => {
    const from = performance.now()
    try {
      work()
    } catch {}
    return performance.now() - from
  })
  return Math.min(...times)
}

/** Measures the parsing of bodies by size, and the ratio of the largest to a quarter of it. */
export function measureDecoding() {
  return BODIES.flatMap(([name, read, body]) => {
    const times = SIZES.map(size => {
      const text = body(size * KILOBYTE)
      return bestOf(() => read(text))
    })
    const [small = Number.NaN, , large = Number.NaN] = times
    return [
      ...SIZES.map((size, index) => ({
        figure: `${name}, ${size} KB, ms`,
        value: times[index] ?? Number.NaN,
        decimals: 2,
      })),
      { figure: `${name}, 1024 KB ÷ 256 KB`, value: large / small, decimals: 1 },
    ]
  })
}

/** Measures the ceiling per request. */
export function measureCeiling() {
  const clientOf = clientAddressResolver([])
  return ['198.51.100.7', '2001:db8:1:2::1'].map(address => {
    const ceiling = requestCeiling(Number.MAX_SAFE_INTEGER, () => performance.now())
    const { networks } = clientOf(address, undefined)
    const ms = bestOf(() => {
      for (let call = 0; call < CEILING_CALLS; call += 1) ceiling(networks)
    })
    return { figure: `ceiling of ${address}, ns`, value: (ms * 1e6) / CEILING_CALLS, decimals: 0 }
  })
}
