import type { Field } from '#src/query/resource.ts'
import { TIMESTAMPS } from '../dates.ts'

/** When a row of the wiki was made, last changed and deleted, which none that is shown is: shown when asked for. */
export const WIKI_DATES = {
  ...TIMESTAMPS,
  deleted_at: {
    kind: 'date',
    shown: 'optional',
    nullable: true,
    about: 'When it was deleted.',
    example: null,
  },
} as const satisfies Record<string, Field>
