import type { Test } from 'tap'

/** A connection to a test database of one engine, past the pool of the server. */
export interface Maintenance {
  query(text: string): Promise<{ rows: Record<string, unknown>[] }>
}

/** A database of this process, made as a copy of the template. */
export interface TestCopy {
  /** Ends all that its last test has left: sessions, listeners, open transactions. */
  quiesce(): Promise<void>
  maintain<T>(work: (maintenance: Maintenance) => Promise<T>): Promise<T>
  drop(): Promise<void>
}

/** What all copies of the template have: the definition of the schema, and the rows and sequences. */
interface Origin {
  definition: string
  tables: string[]
  /** As JSON, by table. */
  rows: Map<string, string>
  sequences: { name: string; last: string; called: boolean }[]
}

/**
 * Databases that their tests are done with, for the next test. Making one takes up to a second, emptying it a twentieth
 * of that.
 */
export class ReusableDatabases<Copy extends TestCopy> {
  readonly #make: () => Promise<Copy>
  readonly #idle: Copy[] = []
  #origin: Origin | undefined

  constructor(make: () => Promise<Copy>) {
    this.#make = make
  }

  /**
   * A database as the template is. Once the test is over it is restored for the next one, or dropped if the test
   * changed more than rows.
   */
  async borrow(t: Test): Promise<Copy> {
    const copy = this.#idle.pop() ?? (await this.#make())
    this.#origin ??= await copy.maintain(readOrigin)
    const origin = this.#origin
    t.teardown(async () => {
      await copy.quiesce()
      if (await copy.maintain(maintenance => restore(maintenance, origin))) this.#idle.push(copy)
      else await copy.drop()
    })
    return copy
  }
}

/** Everything that rows are not: relations, columns, constraints, functions, triggers, settings, statistics. */
const DEFINITION = `
  with own as (
    select c.oid, c.relname, c.relkind, c.reloptions from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
  ), parts (part) as (
    select concat_ws(' ', 'relation', relname, relkind, reloptions) from own
    union all select concat_ws(' ', 'column', own.relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attisdropped, attoptions, pg_get_expr(adbin, adrelid))
      from pg_attribute join own on own.oid = attrelid left join pg_attrdef on adrelid = attrelid and adnum = attnum where attnum > 0
    union all select concat_ws(' ', 'constraint', own.relname, conname, pg_get_constraintdef(pg_constraint.oid)) from pg_constraint join own on own.oid = conrelid
    union all select concat_ws(' ', 'index', pg_get_indexdef(indexrelid), indisvalid) from pg_index join own on own.oid = indexrelid
    union all select concat_ws(' ', 'trigger', tgenabled, pg_get_triggerdef(pg_trigger.oid)) from pg_trigger join own on own.oid = tgrelid where not tgisinternal
    union all select concat_ws(' ', 'internal trigger', tgenabled, count(*)) from pg_trigger join own on own.oid = tgrelid where tgisinternal group by tgenabled
    union all select concat_ws(' ', 'function', proname, prosrc, proconfig) from pg_proc join pg_namespace n on n.oid = pronamespace where nspname not like 'pg\\_%' and nspname <> 'information_schema'
    union all select concat_ws(' ', 'namespace', nspname) from pg_namespace where nspname not like 'pg\\_%'
    union all select concat_ws(' ', 'extension', extname) from pg_extension
    union all select concat_ws(' ', 'setting', setconfig) from pg_db_role_setting where setdatabase in (0, (select oid from pg_database where datname = current_database()))
    union all select concat_ws(' ', 'statistics', relname) from pg_statistic join own on own.oid = starelid
  )
  select md5(string_agg(part, E'\\n' order by part)) as definition from parts`

const readDefinition = async (maintenance: Maintenance) =>
  String((await maintenance.query(DEFINITION)).rows[0]?.definition)

const TABLES = `select format('%I', tablename) as name from pg_tables where schemaname = 'public' order by 1`

const SEQUENCES = `
  select format('%I', sequencename) as name, coalesce(last_value, start_value)::text as last, last_value is not null as called
  from pg_sequences where schemaname = 'public'`

/** The rows of all tables that have any, as JSON. */
async function readRows(maintenance: Maintenance, tables: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await maintenance.query(
    tables
      .map(name => `select '${name}' as name, json_agg(t)::text as json from ${name} t having count(*) > 0`)
      .join(' union all '),
  )
  return new Map(rows.map(({ name, json }) => [String(name), String(json)]))
}

async function readOrigin(maintenance: Maintenance): Promise<Origin> {
  const tables = (await maintenance.query(TABLES)).rows.map(({ name }) => String(name))
  return {
    definition: await readDefinition(maintenance),
    tables,
    rows: await readRows(maintenance, tables),
    sequences: (await maintenance.query(SEQUENCES)).rows as unknown as Origin['sequences'],
  }
}

/** Restores the rows and sequences of the template, unless more than these was changed: then it returns false. */
async function restore(
  maintenance: Maintenance,
  { definition, tables, rows, sequences }: Origin,
): Promise<boolean> {
  if ((await readDefinition(maintenance)) !== definition) return false
  const found = await readRows(maintenance, tables)
  const changed = tables.filter(name => found.get(name) !== rows.get(name))
  const restarts = sequences.map(
    ({ name, last, called }) => `perform setval('${name}'::regclass, ${last}, ${called});`,
  )
  // Triggers of the schema would note the changes.
  await maintenance.query(`
    do $$ begin
      set local session_replication_role = replica;
      ${changed.length > 0 ? `truncate ${changed.join(', ')} cascade;` : ''}
      ${restarts.join('\n')}
    end $$`)
  if (changed.length === 0) return true
  // Truncating has also emptied what refers to those tables.
  const left = await readRows(maintenance, [...rows.keys()])
  for (const [name, json] of rows) {
    if (left.get(name) === json) continue
    await maintenance.query(`
      do $$ begin
        set local session_replication_role = replica;
        insert into ${name} select * from json_populate_recordset(null::${name}, ${literal(json)});
      end $$`)
  }
  return true
}

const literal = (text: string) => `'${text.replaceAll("'", "''")}'`
