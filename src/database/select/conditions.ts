import { sql } from 'kysely'
import { column, correlated, linkedTo, type Sql } from './links.ts'
import type { Condition, Expression, Operand, Operator, RelatedRows, SqlType } from './plan.ts'

/** A value of the row under an alias. */
export function expression(value: Expression, alias: string): Sql {
  if (value.is === 'column') {
    const plain = column(alias, value.column)
    return value.asText ? sql`${plain}::text` : plain
  }
  const rows = relatedRows(value.related, alias)
  return value.is === 'count' ? sql`(select count(*) ${rows})` : existsFor(rows)
}

/**
 * That there are rows, looked for once for each row of the list. With `offset 0` PostgreSQL leaves the subquery as it is.
 * Otherwise it makes joins of all of them together, for which it may choose a plan that takes minutes, where this takes
 * time in proportion to the rows.
 */
const existsFor = (rows: Sql) => sql`exists (select ${rows} offset 0)`

/** `from … where …` for what is related to the row under an alias. */
function relatedRows(related: RelatedRows, ownerAlias: string): Sql {
  const { table, conditions, further } = related
  const alias = childOf(ownerAlias)
  return sql`from ${sql.table(table)} as ${sql.ref(alias)}
    where ${correlated(related, ownerAlias, alias)}
      and ${allOf(conditions, alias)} and ${further === null ? sql`true` : meets(further, alias)}`
}

/** The alias of what is related to the row under another. */
const childOf = (alias: string) => `${alias}r`

/** That the row under an alias meets all conditions. */
export function allOf(conditions: readonly Condition[], alias: string): Sql {
  const parts = conditions.map(condition => meets(condition, alias))
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

/** That the row under an alias meets a condition. */
export function meets(condition: Condition, alias: string): Sql {
  switch (condition.is) {
    case 'column':
      return sql`${column(alias, condition.column)} ${OPERATORS[condition.operator]} ${condition.to}`
    case 'null':
      return sql`${column(alias, condition.column)} is null`
    case 'owned':
      return linkedTo(condition.link, alias, sql`= ${condition.owner}`)
    case 'joined':
      return joined(condition.parts, alias)
    case 'related':
      return isRelated(condition.related, condition.operator, alias)
    default:
      return compared(condition, alias)
  }
}

/** Conditions in brackets of their own: an `or` among them cannot reach around those beside them. */
function joined(parts: Extract<Condition, { is: 'joined' }>['parts'], alias: string): Sql {
  const tests = parts.map(({ connector, condition }, index) => {
    const test = meets(condition, alias)
    return index === 0 ? test : connector === 'or' ? sql` or ${test}` : sql` and ${test}`
  })
  return sql`(${sql.join(tests, sql``)})`
}

/** That as many rows are related as the comparison with one says. */
function isRelated(related: RelatedRows, operator: Operator, alias: string): Sql {
  const rows = relatedRows(related, alias)
  if (operator === 'gte') return existsFor(rows)
  if (operator === 'lt') return sql`not ${existsFor(rows)}`
  return sql`(select count(*) ${rows}) ${OPERATORS[operator]} 1`
}

function compared(condition: Extract<Condition, { is: 'compared' | 'like' | 'listed' }>, alias: string): Sql {
  const { value, type, ignoresCase }: Operand = condition.operand
  const cased = (text: Sql) => (ignoresCase ? sql`lower(${text})` : text)
  const left = cased(expression(value, alias))
  switch (condition.is) {
    case 'listed': {
      // As one parameter, however many they are.
      const list = sql`${condition.values}::text[]::${TYPES[type]}[]`
      const values = sql`select ${cased(sql`item`)} from unnest(${list}) as item`
      return condition.negated ? sql`${left} not in (${values})` : sql`${left} in (${values})`
    }
    case 'like': {
      const pattern = cased(sql`${completed(condition.pattern)}::text`)
      return condition.negated ? sql`${left} not like ${pattern}` : sql`${left} like ${pattern}`
    }
    case 'compared':
      return sql`${left} ${OPERATORS[condition.operator]} ${cased(sql`${condition.to}::${TYPES[type]}`)}`
  }
}

/** PostgreSQL refuses a pattern that ends in the middle of an escape, which MySQL takes for a backslash. */
const completed = (pattern: string) => (/(?:^|[^\\])(?:\\\\)*\\$/.test(pattern) ? `${pattern}\\` : pattern)
