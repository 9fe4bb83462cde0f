import type { Field } from '#src/query/resource.ts'
import { TIMESTAMPS } from '../dates.ts'

/** The timestamps of a wiki row, shown on request. Deleted rows are never shown. */
export const WIKI_DATES = {
  ...TIMESTAMPS,
  deleted_at: {
    kind: 'date',
    shown: 'optional',
    nullable: true,
    example: null,
  },
} as const satisfies Record<string, Field>
