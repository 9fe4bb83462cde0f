import type { Condition, Link } from '#src/database/select/plan.ts'
import type { Query } from '../query.ts'
import type { Relation } from '../resource.ts'
import type { Scope } from '../scope.ts'

/** What every part of a plan is made from. */
export interface Planning {
  query: Query
  /** The class names that mean a user. */
  userTypes: readonly string[]
}

/** How the rows of a relation find those that they belong to. */
export function linkOf({ join, resource }: Relation, { userTypes }: Planning): Link {
  const { key } = resource()
  const typed = (column: string, names = userTypes) => ({ column, names })
  switch (join.by) {
    case 'our column':
    case 'their column':
      return { key, ...join }
    case 'their morph':
      return { key, by: join.by, column: join.id, type: typed(join.type) }
    case 'pivot': {
      const { by, table, ours, theirs, type, types, onlyNull = null } = join
      return { key, by, table, ours, theirs, type: type === undefined ? null : typed(type, types), onlyNull }
    }
  }
}

const OPERATORS = { '=': 'eq', '<': 'lt', '>': 'gt' } as const

/** Which rows a scope is. */
export function planScope(scope: Scope, planning: Planning): Condition {
  switch (scope.is) {
    case 'where':
      return { is: 'column', column: scope.column, operator: OPERATORS[scope.comparison], to: scope.value }
    case 'belonging':
      return { is: 'owned', link: linkOf(scope.relation, planning), owner: scope.ownerKey }
    case 'any':
    case 'all': {
      const connector = scope.is === 'any' ? 'or' : 'and'
      return {
        is: 'joined',
        parts: scope.of.map(one => ({ connector, condition: planScope(one, planning) })),
      }
    }
  }
}
