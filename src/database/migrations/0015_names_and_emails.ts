import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/**
 * Keys by which names and e-mail addresses of users are compared. The application computes them, since Unicode's tables
 * are not in PostgreSQL: rows that others write or rename have none until the application fills them in. No index is
 * unique: users who had equal names before keep them.
 */
export const namesAndEmails: Migration = {
  up: statements(
    `alter table users add column name_key text, add column name_skeleton text, add column email_key text`,
    `create index users_name_key_index on users (name_key)`,
    `create index users_name_skeleton_index on users (name_skeleton)`,
    `create index users_email_key_index on users (email_key)`,
    // The few that are to be filled in.
    `create index users_without_keys_index on users (id)
      where name_key is null or name_skeleton is null or email_key is null`,
    `alter table email_reverts add column email_key text`,
    `create index email_reverts_email_key_index on email_reverts (email_key)`,
    // A key is written after what it is made from, in a statement of its own.
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
