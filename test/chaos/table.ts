import type { Cache, Result } from './fault.ts'

/** A row of the table: a fault and its result. */
export interface Row {
  name: string
  cache: Cache | null
  result: Result | null
  /** The reasons of a failure, a sentence each; empty if it passed. */
  reasons: readonly string[]
  /** Why it was skipped. */
  skipped: string | null
}

const HEADS = ['fault', 'cache', 'requests', 'acknowledged', 'wrong', 'lost', 'recovery (s)', 'verdict']

const cells = ({ name, cache, result, reasons, skipped }: Row): string[] => [
  name,
  cache ?? '–',
  ...(result === null
    ? ['', '', '', '', '']
    : [
        String(result.requests),
        String(result.acknowledged),
        String(result.wrong.length),
        String(result.lost.length),
        result.recovery?.toFixed(1) ?? '–',
      ]),
  skipped ?? (reasons.length === 0 ? 'passed' : 'FAILED'),
]

const line = (texts: readonly string[], widths: readonly number[]) =>
  `| ${texts.map((text, n) => text.padEnd(widths[n] ?? 0)).join(' | ')} |`

/** The rows as an aligned Markdown table. */
export function table(rows: readonly Row[]): string {
  const texts = [HEADS, ...rows.map(cells)]
  const widths = HEADS.map((_, n) => Math.max(...texts.map(row => row[n]?.length ?? 0)))
  const [heads = [], ...body] = texts
  const rule = widths.map(width => '-'.repeat(width))
  return [heads, rule, ...body].map(row => line(row, widths)).join('\n')
}
