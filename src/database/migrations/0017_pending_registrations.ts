import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/**
 * Registrations whose mailed link has not been opened, by the SHA-256 of its token. They reserve neither name nor
 * address: others can register with the same address.
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
