import type { Mutant } from './mutant.ts'

const DOWNLOAD = 'test/routes/api/me/export/download.test.ts'
const STREAM = 'test/routes/api/me/export/stream.test.ts'
const COVERAGE = 'test/routes/api/me/export/coverage.test.ts'
const PANEL = 'test/routes/admin/export.test.ts'

/** The export of all data. */
export const EXPORT: readonly Mutant[] = [
  {
    name: 'a token needs all abilities to read',
    file: 'routes/api/me/export/index.ts',
    find: ' ability: READ_ABILITIES,',
    replace: '',
    tests: [DOWNLOAD],
  },
  {
    name: 'a session needs a confirmed password',
    file: 'routes/api/me/export/index.ts',
    find: ", password: 'confirmed'",
    replace: '',
    tests: [DOWNLOAD],
  },
  {
    name: 'HEAD does not count',
    file: 'routes/api/me/export/index.ts',
    find: "if (request.method === 'HEAD') return",
    replace: 'if (false as boolean) return',
    tests: [DOWNLOAD],
  },
  {
    name: 'the panel needs the password',
    file: 'routes/admin/export.tsx',
    find: 'access: WITH_PASSWORD',
    replace: 'access: LOGGED_IN',
    tests: [PANEL],
  },
  {
    name: 'authority is checked again before each part',
    file: 'src/accounts/data-export.ts',
    find: 'if (text.length < PART_LENGTH) continue\n      await requireAuthority()',
    replace: 'if (text.length < PART_LENGTH) continue',
    tests: [STREAM],
  },
  {
    name: 'authority is checked again before the last part',
    file: 'src/accounts/data-export.ts',
    find: '    }\n    await requireAuthority()',
    replace: '    }',
    tests: [STREAM],
  },
  {
    name: 'the duration of a download',
    file: 'src/accounts/data-export.ts',
    find: "if (monotonic() > latest) throw new Error('The export took too long.')",
    replace: '',
    tests: [STREAM],
  },
  {
    name: 'an export that fails before it starts does not count',
    file: 'src/accounts/data-export.ts',
    find: 'await attempt.giveBack()',
    replace: '',
    tests: [STREAM],
  },
  {
    name: 'exports per day',
    file: 'src/limits/attempt-limit.ts',
    find: "if ('refusal' in counted) throw new LimitExceeded(max, counted.refusal.ttl)",
    replace: "if ('refusal' in counted) return async () => {}",
    tests: [DOWNLOAD],
  },
  {
    name: 'windows of a day survive pruning by an instance whose clock is behind',
    file: 'src/database/attempt-counts.ts',
    find: 'const IMPOSSIBLE_MS: Millis = 2 * DAY_MS',
    replace: 'const IMPOSSIBLE_MS: Millis = DAY_MS',
    tests: ['test/database/attempt-counts.test.ts'],
  },
  {
    name: 'only rows of the user',
    file: 'src/database/data-export.ts',
    find: 'sql`t.user_id = ${id}`',
    replace: 'sql`${id}::bigint is not null`',
    tests: [COVERAGE],
  },
  {
    name: 'only rows that name the user by class and id',
    file: 'src/database/data-export.ts',
    find: '${columnOf(`${prefix}_id`)} = ${id} and',
    replace: '${columnOf(`${prefix}_id`)} is not null and ${id}::bigint is not null and',
    tests: [COVERAGE],
  },
  {
    name: 'only tracks of the playlist',
    file: 'src/database/data-export.ts',
    find: 'sql`t.playlist_id = ${id}`',
    replace: 'sql`${id}::bigint is not null`',
    tests: [COVERAGE, DOWNLOAD],
  },
  {
    name: 'a document that was cut off lacks its last key',
    file: 'src/accounts/data-export.ts',
    find: ',"complete":true}',
    replace: '}',
    tests: [DOWNLOAD],
  },
  {
    name: 'no ids of staff',
    file: 'src/database/data-export.ts',
    find: "typeof by === 'number' ? others : details",
    replace: 'details',
    tests: [DOWNLOAD],
  },
]
