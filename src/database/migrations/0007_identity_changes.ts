import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/** How a table relates to users, and which of its columns identities consist of. */
interface Source {
  table: string
  owner: string
  columns: readonly string[]
  /** Whether an insert changes existing identities. */
  adds: boolean
}

const holds = (table: string, columns: readonly string[]): Source => ({
  table,
  owner: 'model_id',
  columns: ['model_type', 'model_id', ...columns],
  adds: true,
})

const SOURCES: readonly Source[] = [
  {
    table: 'personal_access_tokens',
    owner: 'tokenable_id',
    columns: [
      ...['id', 'tokenable_type', 'tokenable_id', 'name', 'token', 'abilities', 'expires_at', 'created_at'],
    ],
    adds: false,
  },
  { table: 'sessions', owner: 'user_id', columns: ['id', 'user_id', 'payload'], adds: false },
  {
    table: 'users',
    owner: 'id',
    columns: [
      ...['id', 'name', 'email', 'email_verified_at', 'password', 'two_factor_confirmed_at'],
      ...['created_at', 'updated_at', 'deleted_at'],
    ],
    adds: false,
  },
  holds('model_has_roles', ['role_id']),
  holds('model_has_permissions', ['permission_id']),
  holds('model_sanctions', ['sanction_id', 'expires_at']),
  holds('model_prohibitions', ['prohibition_id', 'expires_at']),
]

/** Up to how many updated rows of a statement publish their users; beyond that, `*` is published. */
const ROWS_TOLD = 100

/** Up to how many inserted or deleted rows of a statement publish their users, and how many users one message names. */
const USERS_TOLD = 10_000
const USERS_IN_MESSAGE = 300

const triggersOf = ({ table, owner, columns, adds }: Source) => {
  const values = (row: string) => columns.map(column => `${row}.${column}`).join(', ')
  const wholesale = (event: string, rows: string) =>
    `create trigger ${table}_identities_${event} after ${event} on ${table}
      referencing ${rows} table as changed for each statement execute function notify_${table}_changes()`
  return [
    // The planner needs column names in the text: one function per table.
    `create function notify_${table}_changes() returns trigger language plpgsql as $$
      begin
        perform notify_identity_changes(array(select distinct ${owner} from changed where ${owner} is not null));
        return null;
      end
    $$`,
    `create function notify_${table}_change() returns trigger language plpgsql as $$
      begin
        perform notify_identity_change(old.${owner});
        if new.${owner} is distinct from old.${owner} then
          perform notify_identity_change(new.${owner});
        end if;
        return null;
      end
    $$`,
    // Only for columns of identities: last-use writes run no trigger.
    `create trigger ${table}_identities_update after update of ${columns.join(', ')} on ${table}
      for each row when ((${values('old')}) is distinct from (${values('new')}))
      execute function notify_${table}_change()`,
    wholesale('delete', 'old'),
    ...(adds ? [wholesale('insert', 'new')] : []),
    `create trigger ${table}_identities_truncate after truncate on ${table}
      for each statement execute function notify_all_identities()`,
  ]
}

/**
 * Publishes on the channel `identity_changes` whose identities changed, by any writer: comma-separated user ids, or `*`
 * for all. PostgreSQL sends the messages at commit, without duplicates.
 */
export const identityChanges: Migration = {
  up: statements(
    `create function notify_all_identities() returns trigger language plpgsql as $$
      begin
        perform pg_notify('identity_changes', '*');
        return null;
      end
    $$`,
    `create function notify_identity_change(user_id bigint) returns void language plpgsql as $$
      declare
        told integer := coalesce(nullif(current_setting('identity_changes.told', true), '')::integer, 0);
      begin
        if user_id is null then
          return;
        end if;
        perform set_config('identity_changes.told', least(told + 1, ${ROWS_TOLD})::text, true);
        perform pg_notify('identity_changes', case when told < ${ROWS_TOLD} then user_id::text else '*' end);
      end
    $$`,
    `create function notify_identity_changes(user_ids bigint[]) returns void language plpgsql as $$
      begin
        if cardinality(user_ids) > ${USERS_TOLD} then
          perform pg_notify('identity_changes', '*');
        else
          perform pg_notify('identity_changes', string_agg(id::text, ','))
          from unnest(user_ids) with ordinality as changed (id, n)
          group by n / ${USERS_IN_MESSAGE};
        end if;
      end
    $$`,
    ...SOURCES.flatMap(triggersOf),
    // Definitions of roles and permissions affect all users, and have their triggers already.
    `create or replace function raise_permission_version() returns trigger language plpgsql as $$
      begin
        update permission_versions set version = version + 1;
        perform pg_notify('identity_changes', '*');
        return null;
      end
    $$`,
  ),
}
