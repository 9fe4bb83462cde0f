import type { Field } from '#src/query/resource.ts'

/** The timestamps of a row, shown on request. */
export const TIMESTAMPS = {
  created_at: {
    kind: 'date',
    shown: 'optional',
    example: '2026-03-01T12:34:56.123456Z',
  },
  updated_at: {
    kind: 'date',
    shown: 'optional',
    example: '2026-03-01T12:34:56.123456Z',
  },
} as const satisfies Record<string, Field>

/** The same for columns that Laravel's migrations make nullable. */
export const NULLABLE_TIMESTAMPS = {
  created_at: { ...TIMESTAMPS.created_at, nullable: true, example: '2026-03-01T12:34:56.000000Z' },
  updated_at: { ...TIMESTAMPS.updated_at, nullable: true, example: '2026-03-01T12:34:56.000000Z' },
} as const satisfies Record<string, Field>
