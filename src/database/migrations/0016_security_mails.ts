import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/** Browsers and networks of logins, links of security mails, and reminders of expiring tokens. */
export const securityMails: Migration = {
  up: statements(
    `create table known_logins (
      user_id bigint not null references users (id) on delete cascade,
      kind varchar(10) not null,
      value varchar(60) not null,
      first_seen_at timestamp(0) not null,
      last_seen_at timestamp(0) not null,
      primary key (user_id, kind, value)
    )`,
    `create index known_logins_last_seen_at_index on known_logins (last_seen_at)`,
    `create table security_links (
      token varchar(64) primary key,
      user_id bigint not null references users (id) on delete cascade,
      happened_at timestamp(0) not null,
      expires_at timestamp(0) not null
    )`,
    `create index security_links_user_id_index on security_links (user_id)`,
    `create index security_links_expires_at_index on security_links (expires_at)`,
    // No foreign key: Laravel may delete and truncate tokens.
    `create table token_reminders (
      token_id bigint not null,
      days smallint not null,
      primary key (token_id, days)
    )`,
  ),
}
