import { sql } from 'kysely'
import { foldCase } from '../fold-case.ts'
import { column, correlationCondition, ownerCondition, type Sql } from './links.ts'
import type { Condition, Expression, Operand, Operator, RelatedRows, SqlType } from './plan.ts'

/** The SQL of an expression over the row with an alias. */
export function expressionSql(value: Expression, alias: string): Sql {
  if (value.is === 'column') {
    const plain = column(alias, value.column)
    return value.asText ? sql`${plain}::text` : plain
  }
  const rows = relatedRows(value.related, alias)
  return value.is === 'count' ? sql`(select count(*) ${rows})` : existsFor(rows)
}

/**
 * A correlated `exists`. `offset 0` keeps PostgreSQL from flattening the subqueries into joins, for which it may choose
 * a plan that takes minutes; correlated, the time is proportional to the rows.
 */
const existsFor = (rows: Sql) => sql`exists (select ${rows} offset 0)`

/** The `from … where …` of the rows related to the row with an alias. */
function relatedRows(related: RelatedRows, ownerAlias: string): Sql {
  const { table, conditions, filter } = related
  const alias = childOf(ownerAlias)
  return sql`from ${sql.table(table)} as ${sql.ref(alias)}
    where ${correlationCondition(related, ownerAlias, alias)}
      and ${allConditionsSql(conditions, alias)} and ${filter === null ? sql`true` : conditionSql(filter, alias)}`
}

/** The alias of the rows related to another alias. */
const childOf = (alias: string) => `${alias}r`

/** The conjunction of conditions on the row with an alias. */
export function allConditionsSql(conditions: readonly Condition[], alias: string): Sql {
  const parts = conditions.map(condition => conditionSql(condition, alias))
  return parts.length === 0 ? sql`true` : sql.join(parts, sql` and `)
}

const OPERATORS: Readonly<Record<Operator, Sql>> = {
  eq: sql`=`,
  ne: sql`<>`,
  lt: sql`<`,
  gt: sql`>`,
  lte: sql`<=`,
  gte: sql`>=`,
}

const TYPES: Readonly<Record<SqlType, Sql>> = {
  text: sql`text`,
  bigint: sql`bigint`,
  'double precision': sql`double precision`,
  timestamp: sql`timestamp`,
  boolean: sql`boolean`,
}

/** The SQL of a condition on the row with an alias. */
export function conditionSql(condition: Condition, alias: string): Sql {
  switch (condition.is) {
    case 'column':
      return sql`${column(alias, condition.column)} ${OPERATORS[condition.operator]} ${condition.to}`
    case 'null':
      return sql`${column(alias, condition.column)} is null`
    case 'owned':
      return ownerCondition(condition.link, alias, sql`= ${condition.owner}`)
    case 'joined':
      return groupSql(condition.parts, alias)
    case 'related':
      return relatedSql(condition.related, condition.operator, alias)
    default:
      return comparisonSql(condition, alias)
  }
}

/** Parenthesized conditions, so that an `or` among them does not reach conditions outside. */
function groupSql(parts: Extract<Condition, { is: 'joined' }>['parts'], alias: string): Sql {
  const tests = parts.map(({ connector, condition }, index) => {
    const test = conditionSql(condition, alias)
    return index === 0 ? test : connector === 'or' ? sql` or ${test}` : sql` and ${test}`
  })
  return sql`(${sql.join(tests, sql``)})`
}

/** Compares the number of related rows with one. */
function relatedSql(related: RelatedRows, operator: Operator, alias: string): Sql {
  const rows = relatedRows(related, alias)
  if (operator === 'gte') return existsFor(rows)
  if (operator === 'lt') return sql`not ${existsFor(rows)}`
  return sql`(select count(*) ${rows}) ${OPERATORS[operator]} 1`
}

function comparisonSql(
  condition: Extract<Condition, { is: 'compared' | 'like' | 'listed' }>,
  alias: string,
): Sql {
  const { value, type, ignoresCase }: Operand = condition.operand
  const fold = (text: Sql) => (ignoresCase ? foldCase(text) : text)
  const left = fold(expressionSql(value, alias))
  switch (condition.is) {
    case 'listed': {
      // One parameter, regardless of the number of values.
      const list = sql`${condition.values}::text[]::${TYPES[type]}[]`
      const values = sql`select ${fold(sql`item`)} from unnest(${list}) as item`
      return condition.negated ? sql`${left} not in (${values})` : sql`${left} in (${values})`
    }
    case 'like': {
      const pattern = fold(sql`${completeEscape(condition.pattern)}::text`)
      return condition.negated ? sql`${left} not like ${pattern}` : sql`${left} like ${pattern}`
    }
    case 'compared':
      return sql`${left} ${OPERATORS[condition.operator]} ${fold(sql`${condition.to}::${TYPES[type]}`)}`
  }
}

/**
 * Escapes a trailing backslash: PostgreSQL rejects a pattern that ends within an escape, MySQL takes it for a
 * backslash.
 */
const completeEscape = (pattern: string) =>
  /(?:^|[^\\])(?:\\\\)*\\$/.test(pattern) ? `${pattern}\\` : pattern
