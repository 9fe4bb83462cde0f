import type { TokenLifetimes } from '#src/auth/identity.ts'
import type { Config } from '#src/config/config.ts'
import type { FoundRow } from '#src/database/select/found.ts'
import { type FoundPage, preparePage, selectIncludes, selectOne } from '#src/database/select.ts'
import type { StatementRunner } from '#src/database/statement-runner.ts'
import { inputName, planIncludes, planOne, planPage } from './plan.ts'
import type { Query } from './query.ts'
import { selectedFields } from './render.ts'
import {
  type ComputeSettings,
  type Endpoint,
  type IncludeTree,
  type Resource,
  relationAt,
  type TableName,
} from './resource.ts'
import {
  fitsTemplate,
  type Scope,
  type ScopeOf,
  type ScopeTemplate,
  scopeTemplate,
  scopeValues,
} from './scope.ts'

type FinderConfig = Pick<Config, 'tokenableTypes' | 'videoUrl' | 'audioUrl' | 'imageUrl'> & TokenLifetimes

/** Finds the page of a prepared query within a scope. */
export type FindPage<Table extends TableName> = (
  db: StatementRunner,
  scope: ScopeOf<Table>,
) => Promise<FoundPage>

/** For how many forms of scopes a query stays compiled. An endpoint has one or two. */
const MAX_TEMPLATES = 4

/** Runs queries on resources. Each method throws `TooManyIncluded`. */
export interface Finder {
  /**
   * Prepares a query of an endpoint's list for many scopes. Its statement is compiled once for all scopes that differ in
   * nothing but numbers.
   */
  preparePage<Table extends TableName>(endpoint: Endpoint<Table>, query: Query): FindPage<Table>
  /** Finds the row with a key within a scope; returns null if there is none. */
  one<Table extends TableName>(
    db: StatementRunner,
    resource: Resource<Table>,
    scope: ScopeOf<Table>,
    key: number,
    query: Query,
  ): Promise<FoundRow | null>
  /** Finds the includes of the row with a key, whose own values are known. */
  includes(
    db: StatementRunner,
    resource: Resource,
    key: number,
    values: Readonly<Record<string, unknown>>,
    query: Query,
  ): Promise<FoundRow>
}

/** Makes a {@link Finder}: it plans queries, runs the plans and computes derived fields. */
export function createFinder(config: FinderConfig): Finder {
  const settings: ComputeSettings = {
    wikiUrls: { audio: config.audioUrl, image: config.imageUrl, video: config.videoUrl },
    tokenLifetimes: config,
  }
  const contextOf = (query: Query) => ({ query, userTypes: config.tokenableTypes })
  return {
    preparePage(endpoint, query) {
      const prepared: { template: ScopeTemplate; select: ReturnType<typeof preparePage> }[] = []
      const prepare = (scope: Scope) => {
        const template = scopeTemplate(scope)
        const one = { template, select: preparePage(planPage(endpoint, template, contextOf(query))) }
        if (prepared.length < MAX_TEMPLATES) prepared.push(one)
        return one
      }
      const isComputed = hasComputed(endpoint.resource, query.includes, query)
      return async (db, scope: Scope) => {
        const { select } = prepared.find(({ template }) => fitsTemplate(scope, template)) ?? prepare(scope)
        const page = await select(db, scopeValues(scope))
        if (isComputed) compute(endpoint.resource, page.found, query.includes, query, settings)
        return page
      }
    },
    async one(db, resource, scope: Scope, key, query) {
      const plan = planOne(resource, scope, contextOf(query))
      const found = await selectOne(db, plan.rows, plan.scope, key)
      compute(resource, found === null ? [] : [found], query.includes, query, settings)
      return found
    },
    async includes(db, resource, key, values, query) {
      const includes = planIncludes(resource, query.includes, contextOf(query))
      const found = await selectIncludes(db, includes, key, values)
      computeIncluded(resource, [found], query.includes, query, settings)
      return found
    },
  }
}

/** Sets the computed fields of rows and their includes. */
function compute(
  resource: Resource,
  rows: Iterable<FoundRow>,
  includes: IncludeTree,
  { fields }: Pick<Query, 'fields'>,
  settings: ComputeSettings,
) {
  for (const [name, { computed }] of selectedFields(resource, fields)) {
    if (computed === undefined) continue
    for (const { values } of rows) {
      const inputs = computed.columns.map(column => [column, values[inputName(column)]])
      values[name] = computed.value(Object.fromEntries(inputs), settings)
    }
  }
  computeIncluded(resource, rows, includes, { fields }, settings)
}

function computeIncluded(
  resource: Resource,
  rows: Iterable<FoundRow>,
  includes: IncludeTree,
  query: Pick<Query, 'fields'>,
  settings: ComputeSettings,
) {
  for (const [name, nested] of includes) {
    const other = relationAt(resource, [name]).resource()
    if (!hasComputed(other, nested, query)) continue
    // Each object once, even if several rows share it.
    const related = new Set([...rows].flatMap(row => row.related.get(name) ?? []))
    compute(other, related, nested, query, settings)
  }
}

/** Returns whether rows of a resource or their includes have computed fields. Most queries have none. */
const hasComputed = (resource: Resource, includes: IncludeTree, query: Pick<Query, 'fields'>): boolean =>
  selectedFields(resource, query.fields).some(([, { computed }]) => computed !== undefined) ||
  [...includes].some(([name, nested]) => hasComputed(relationAt(resource, [name]).resource(), nested, query))
