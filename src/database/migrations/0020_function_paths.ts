import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/**
 * Lets trigger functions find their tables and functions whatever the search path of the session is. pg_dump's data are
 * loaded with an empty one.
 */
export const functionPaths: Migration = {
  up: statements(
    `do $$
    declare
      trigger_function regprocedure;
    begin
      for trigger_function in
        select distinct t.tgfoid::regprocedure
        from pg_trigger t join pg_class c on c.oid = t.tgrelid
        where c.relnamespace = current_schema()::regnamespace and not t.tgisinternal
      loop
        execute format('alter function %s set search_path to %I, pg_temp', trigger_function, current_schema());
      end loop;
    end
    $$`,
  ),
}
