import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/** The tables that define roles, permissions, prohibitions and sanctions. */
const TABLES = [
  'permissions',
  'roles',
  'role_has_permissions',
  'prohibitions',
  'sanctions',
  'sanction_prohibition',
]

/** A version of those definitions, which every change increments. */
export const permissionVersions: Migration = {
  up: statements(
    `create table permission_versions (
      id boolean primary key default true check (id),
      version bigint not null
    )`,
    `insert into permission_versions (version) values (1)`,
    `create function raise_permission_version() returns trigger language plpgsql as $$
      begin
        update permission_versions set version = version + 1;
        return null;
      end
    $$`,
    ...TABLES.map(
      table => `create trigger ${table}_version after insert or update or delete or truncate on ${table}
        for each statement execute function raise_permission_version()`,
    ),
  ),
}
