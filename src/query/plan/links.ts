import type { Condition, Link, Placeholder } from '#src/database/select/plan.ts'
import type { Query } from '../query.ts'
import type { Relation } from '../resource.ts'
import type { Scope } from '../scope.ts'

/** What context needs. */
export interface PlanContext {
  query: Query
  /** The class names of users in polymorphic columns. */
  userTypes: readonly string[]
}

/** Plans how the rows of a relation reference their owners. */
export function planLink({ join, resource }: Relation, { userTypes }: PlanContext): Link {
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

/** Plans the condition of a scope. */
export function planScope(scope: Scope<string, number | Placeholder>, context: PlanContext): Condition {
  switch (scope.is) {
    case 'where':
      return { is: 'column', column: scope.column, operator: OPERATORS[scope.comparison], to: scope.value }
    case 'belonging':
      return { is: 'owned', link: planLink(scope.relation, context), owner: scope.ownerKey }
    case 'any':
    case 'all': {
      const connector = scope.is === 'any' ? 'or' : 'and'
      return {
        is: 'joined',
        parts: scope.of.map(one => ({ connector, condition: planScope(one, context) })),
      }
    }
  }
}
