import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/**
 * Leaves room in the pages of rows whose last use is written while they are in use, so that the new version of a row
 * lands on the page of the old one and no index has to be written (HOT). It changes the catalog only: rows that exist
 * move as they are used.
 *
 * An index of `last_activity` would keep every use of a session from being HOT. Only pruning reads by it, every ten
 * minutes: it scans the table instead.
 */
export const roomForLastUses: Migration = {
  up: statements(
    'alter table personal_access_tokens set (fillfactor = 75)',
    'alter table sessions set (fillfactor = 75)',
    'drop index if exists sessions_last_activity_index',
  ),
}
