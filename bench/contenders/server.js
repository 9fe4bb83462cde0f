/** What the contenders share: where they are told to listen, and how they say that they do. */
import pg from 'pg'

/** A pool as large as ours. */
export const pool = () => new pg.Pool({ connectionString: process.env.BENCH_DATABASE_URL, max: 10 })

/** Says on which port a server listens, for whoever started it. */
export const ready = port => process.stdout.write(`READY ${port}\n`)

/** The headers of every response of ours, for contenders that send the same. */
export const HEADERS = {
  'cache-control': 'no-store, private',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-download-options': 'noopen',
  'x-frame-options': 'DENY',
  'x-permitted-cross-domain-policies': 'none',
  'x-xss-protection': '0',
}
