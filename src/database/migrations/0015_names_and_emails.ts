import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/**
 * Keys for comparing names and e-mail addresses of users. The application computes them, since PostgreSQL lacks the
 * Unicode tables: rows that other applications write have none until it fills them in. No index is unique, since
 * existing users may have equal names.
 */
export const namesAndEmails: Migration = {
  up: statements(
    `alter table users add column name_key text, add column name_skeleton text, add column email_key text`,
    `create index users_name_key_index on users (name_key)`,
    `create index users_name_skeleton_index on users (name_skeleton)`,
    `create index users_email_key_index on users (email_key)`,
    // The few rows to fill in.
    `create index users_without_keys_index on users (id)
      where name_key is null or name_skeleton is null or email_key is null`,
    `alter table email_reverts add column email_key text`,
    `create index email_reverts_email_key_index on email_reverts (email_key)`,
    // A key is written after its source column, in a separate statement.
    `create function drop_user_keys() returns trigger language plpgsql as $$
      begin
        if new.name is distinct from old.name then
          new.name_key := null;
          new.name_skeleton := null;
        end if;
        if new.email is distinct from old.email then
          new.email_key := null;
        end if;
        return new;
      end
    $$`,
    `create trigger users_keys_update before update of name, email on users
      for each row when ((old.name, old.email) is distinct from (new.name, new.email))
      execute function drop_user_keys()`,
  ),
}
