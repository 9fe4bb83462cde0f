import type { Outcome } from '../chaos/http.ts'
import type { Kind } from './request.ts'

const COLUMNS = ['2xx', '3xx', '401', '403', '404', '419', '422', 'other 4xx', '503', 'failed'] as const
type Column = (typeof COLUMNS)[number]

const columnOf = (outcome: Outcome): Column => {
  if (outcome.kind !== 'answer') return 'failed'
  const exact = COLUMNS.find(column => column === String(outcome.status))
  if (exact !== undefined) return exact
  const columns: Record<number, Column> = { 2: '2xx', 3: '3xx', 4: 'other 4xx' }
  return columns[Math.floor(outcome.status / 100)] ?? 'failed'
}

interface Row {
  counts: Map<Column, number>
  requests: number
  slowest: number
  findings: number
}

/** Counts of a run: by who sent the requests, and by kind. */
export class Statistics {
  requests = 0
  readonly #rows = new Map<string, Row>()
  readonly #waiting: Set<string>

  /** @param operationIds those that must succeed at least once */
  constructor(operationIds: readonly string[]) {
    this.#waiting = new Set(operationIds)
  }

  add(caller: string, kind: Kind | 'form', operationId: string | null, outcome: Outcome): void {
    this.requests += 1
    for (const name of [caller, `kind: ${kind}`]) {
      const row = this.#rowOf(name)
      const column = columnOf(outcome)
      row.counts.set(column, (row.counts.get(column) ?? 0) + 1)
      row.requests += 1
      row.slowest = Math.max(row.slowest, outcome.ms)
    }
    if (operationId !== null && outcome.kind === 'answer' && outcome.status < 400)
      this.#waiting.delete(operationId)
  }

  found(caller: string): void {
    this.#rowOf(caller).findings += 1
  }

  /** The operations that never succeeded. */
  get neverDone(): string[] {
    return [...this.#waiting]
  }

  /** An aligned Markdown table. */
  table(): string {
    const heads = ['', 'requests', ...COLUMNS, 'slowest (ms)', 'findings']
    const body = [...this.#rows]
      .sort(([a], [b]) => Number(a.startsWith('kind')) - Number(b.startsWith('kind')))
      .map(([name, { requests, counts, slowest, findings }]) => [
        name,
        String(requests),
        ...COLUMNS.map(column => String(counts.get(column) ?? 0)),
        String(Math.round(slowest)),
        name.startsWith('kind') ? '' : String(findings),
      ])
    const widths = heads.map((head, n) => Math.max(head.length, ...body.map(row => row[n]?.length ?? 0)))
    const line = (texts: readonly string[]) =>
      `| ${texts.map((text, n) => (n === 0 ? text.padEnd(widths[n] ?? 0) : text.padStart(widths[n] ?? 0))).join(' | ')} |`
    const rule = widths.map((width, n) => (n === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
    return [heads, rule, ...body].map(line).join('\n')
  }

  #rowOf(name: string): Row {
    const row = this.#rows.get(name) ?? { counts: new Map(), requests: 0, slowest: 0, findings: 0 }
    this.#rows.set(name, row)
    return row
  }
}
