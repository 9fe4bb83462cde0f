import type { Migration } from 'kysely'
import { statements } from './statements.ts'

/** Who has registered with an address, and has not opened its mail's link yet: no name and no address is anybody's by that. */
export const pendingRegistrations: Migration = {
  up: statements(
    `create table pending_registrations (
      email varchar(255) primary key,
      name varchar(255) not null,
      requested_at timestamp(0) not null
    )`,
    `create index pending_registrations_requested_at_index on pending_registrations (requested_at)`,
  ),
}
