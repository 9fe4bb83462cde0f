import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/** Reset tokens as in Laravel, remembered devices, and used codes of second factors. */
export const accounts: Migration = {
  up: statements(
    `create table password_reset_tokens (
      email varchar(255) primary key,
      token varchar(255) not null,
      created_at timestamp(0)
    )`,
    `create table remembered_devices (
      selector varchar(22) primary key,
      user_id bigint not null references users (id) on delete cascade,
      validator varchar(64) not null,
      previous_validator varchar(64),
      rotated_at timestamp(3) not null,
      is_delivered boolean not null,
      password varchar(64) not null,
      ip_address varchar(45),
      user_agent text,
      created_at timestamp(0) not null,
      last_used_at timestamp(0) not null,
      expires_at timestamp(0) not null
    )`,
    `create index remembered_devices_user_id_index on remembered_devices (user_id)`,
    `create index remembered_devices_expires_at_index on remembered_devices (expires_at)`,
    `create table second_factor_steps (
      user_id bigint primary key references users (id) on delete cascade,
      step bigint not null
    )`,
  ),
}
