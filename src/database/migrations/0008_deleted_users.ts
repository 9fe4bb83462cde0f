import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/** An index of soft-deleted users, who are few. */
export const deletedUsers: Migration = {
  up: statements(`create index users_deleted_at_index on users (deleted_at) where deleted_at is not null`),
}
