import { cpus } from 'node:os'

/** Returns the median. */
export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** Formats a number with decimals; empty for missing values. */
export const fixed = (value: number, decimals: number): string =>
  Number.isFinite(value) ? value.toFixed(decimals) : ''

/** Formats the minimum and maximum. */
export const spread = (values: readonly number[], decimals: number): string =>
  `${fixed(Math.min(...values), decimals)}–${fixed(Math.max(...values), decimals)}`

/** Prints a Markdown table with a caption below it. */
export function printTable(
  heads: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  caption: string,
): void {
  const lines = [heads, heads.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`)
  process.stdout.write(`${lines.join('\n')}\n\n${machine()}, ${caption}\n\n`)
}

const machine = () => `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.version}`
