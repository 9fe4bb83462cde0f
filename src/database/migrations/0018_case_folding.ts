import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/**
 * Folds case independently of the locale of the database. Names and addresses are unique ignoring the case of ASCII
 * letters; where existing ones are not, the indexes stay plain (see unique-names.ts).
 */
export const caseFolding: Migration = {
  up: statements(
    // Since PostgreSQL 17 without a library, before with ICU. A server built without ICU folds ASCII letters. By upper case
    // first, since a final sigma is another letter in lower case only.
    `do $$
    declare
      folding text := (
        select quote_ident(collname) from pg_collation
        where collnamespace = 'pg_catalog'::regnamespace and collname in ('pg_c_utf8', 'und-x-icu', 'C')
        order by array_position(array['pg_c_utf8', 'und-x-icu', 'C'], collname::text) limit 1
      );
    begin
      execute format(
        'create function fold_case(text) returns text language sql immutable parallel safe
         as $body$ select pg_catalog.lower(pg_catalog.upper($1 collate pg_catalog.%1$s) collate pg_catalog.%1$s) $body$',
        folding
      );
    end
    $$`,
    `drop index users_email_unique, users_name_unique, email_reverts_email_index`,
    `create index users_email_index on users (lower(email collate "C"))`,
    `create index users_name_index on users (lower(name collate "C"))`,
    `create index email_reverts_email_index on email_reverts (lower(email collate "C"))`,
    // Where the extension is missing, so are these indexes.
    `do $$
    begin
      if to_regclass('playlists_name_trigrams_index') is not null then
        drop index playlists_name_trigrams_index, external_profiles_name_trigrams_index;
        create index playlists_name_trigrams_index on playlists using gin (fold_case(name) gin_trgm_ops);
        create index external_profiles_name_trigrams_index
          on external_profiles using gin (fold_case(name) gin_trgm_ops);
      end if;
    end
    $$`,
  ),
}
