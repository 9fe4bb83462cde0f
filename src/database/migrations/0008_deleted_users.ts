import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/** By which users that were deleted are found, among the many who were not. */
export const deletedUsers: Migration = {
  up: statements(`create index users_deleted_at_index on users (deleted_at) where deleted_at is not null`),
}
