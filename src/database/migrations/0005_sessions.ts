import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/** Sessions of browsers, and the addresses of earlier logins. */
export const sessions: Migration = {
  up: statements(
    `create table sessions (
      id varchar(255) primary key,
      user_id bigint,
      ip_address varchar(45),
      user_agent text,
      payload text not null,
      last_activity integer not null
    )`,
    `create index sessions_user_id_index on sessions (user_id)`,
    `create index sessions_last_activity_index on sessions (last_activity)`,
    `create table login_addresses (
      user_id bigint not null references users on delete cascade,
      address varchar(45) not null,
      last_login_at timestamp(0) not null,
      primary key (user_id, address)
    )`,
    `create index login_addresses_last_login_at_index on login_addresses (last_login_at)`,
  ),
}
