import { cpus } from 'node:os'

/** The middle one of some values. */
export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** A number with so many decimals; empty for what could not be measured. */
export const fixed = (value: number, decimals: number): string =>
  Number.isFinite(value) ? value.toFixed(decimals) : ''

/** The least and the greatest of some values. */
export const spread = (values: readonly number[], decimals: number): string =>
  `${fixed(Math.min(...values), decimals)}–${fixed(Math.max(...values), decimals)}`

/** Prints a table in Markdown, and what it is about below it. */
export function printTable(
  heads: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  about: string,
): void {
  const lines = [heads, heads.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`)
  process.stdout.write(`${lines.join('\n')}\n\n${machine()}, ${about}\n\n`)
}

const machine = () => `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.version}`
