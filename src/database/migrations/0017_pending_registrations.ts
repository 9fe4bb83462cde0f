import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/**
 * Who has registered with an address, and has not opened its mail's link yet, by the SHA-256 of its token: no name and no
 * address is anybody's by that, and strangers can register with the same address.
 */
export const pendingRegistrations: Migration = {
  up: statements(
    `create table pending_registrations (
      token varchar(64) primary key,
      email varchar(255) not null,
      name varchar(255) not null,
      requested_at timestamp(0) not null
    )`,
    `create index pending_registrations_email_index on pending_registrations (email)`,
    `create index pending_registrations_requested_at_index on pending_registrations (requested_at)`,
  ),
}
