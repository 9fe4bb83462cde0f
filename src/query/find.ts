import type { Kysely } from 'kysely'
import type { TokenLifetimes } from '#src/auth/identity.ts'
import type { Config } from '#src/config/config.ts'
import type { Schema } from '#src/database/schema.ts'
import type { FoundRow } from '#src/database/select/found.ts'
import { selectIncludes, selectOne, selectPage } from '#src/database/select.ts'
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
import type { Scope, ScopeOf } from './scope.ts'

type FinderConfig = Pick<Config, 'tokenableTypes' | 'videoUrl' | 'audioUrl' | 'imageUrl'> & TokenLifetimes

/** Runs queries on resources. Each method throws `TooManyIncluded`. */
export interface Finder {
  /** Finds a page of an endpoint's list within a scope. */
  page<Table extends TableName>(
    db: Kysely<Schema>,
    endpoint: Endpoint<Table>,
    scope: ScopeOf<Table>,
    query: Query,
  ): Promise<{ found: FoundRow[]; hasMore: boolean }>
  /** Finds the row with a key within a scope; returns null if there is none. */
  one<Table extends TableName>(
    db: Kysely<Schema>,
    resource: Resource<Table>,
    scope: ScopeOf<Table>,
    key: number,
    query: Query,
  ): Promise<FoundRow | null>
  /** Finds the includes of the row with a key, whose own values are known. */
  includes(
    db: Kysely<Schema>,
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
    async page(db, endpoint, scope: Scope, query) {
      const page = await selectPage(db, planPage(endpoint, scope, contextOf(query)))
      compute(endpoint.resource, page.found, query.includes, query, settings)
      return page
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

/** Makes a row without includes from known values. */
export const withoutIncludes = (values: FoundRow['values']): FoundRow => ({ values, related: NO_INCLUDES })

const NO_INCLUDES: FoundRow['related'] = new Map()

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
