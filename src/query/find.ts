import type { Kysely } from 'kysely'
import type { TokenLifetimes } from '#src/auth/identity.ts'
import type { Config } from '#src/config/config.ts'
import type { Schema } from '#src/database/schema.ts'
import type { Found } from '#src/database/select/found.ts'
import { selectIncludes, selectOne, selectPage } from '#src/database/select.ts'
import { inputName, planIncludes, planOne, planPage } from './plan.ts'
import type { Query } from './query.ts'
import { shownFields } from './render.ts'
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

/** Finds rows of resources as queries ask for them. Each method throws `TooMuchIncluded`. */
export interface Finder {
  /** Finds a page of an endpoint's list, of the rows in a scope. */
  page<Table extends TableName>(
    db: Kysely<Schema>,
    endpoint: Endpoint<Table>,
    scope: ScopeOf<Table>,
    query: Query,
  ): Promise<{ found: Found[]; hasMore: boolean }>
  /** Finds the row with a key, if it is in a scope; null otherwise. */
  one<Table extends TableName>(
    db: Kysely<Schema>,
    resource: Resource<Table>,
    scope: ScopeOf<Table>,
    key: number,
    query: Query,
  ): Promise<Found | null>
  /** Finds what the row with a key includes. The row's own values are known already. */
  includes(
    db: Kysely<Schema>,
    resource: Resource,
    key: number,
    values: Readonly<Record<string, unknown>>,
    query: Query,
  ): Promise<Found>
}

/** Makes what plans queries, has the plans carried out, and computes what is made of the columns that were found. */
export function createFinder(config: FinderConfig): Finder {
  const settings: ComputeSettings = {
    wikiUrls: { audio: config.audioUrl, image: config.imageUrl, video: config.videoUrl },
    tokenLifetimes: config,
  }
  const planning = (query: Query) => ({ query, userTypes: config.tokenableTypes })
  return {
    async page(db, endpoint, scope: Scope, query) {
      const page = await selectPage(db, planPage(endpoint, scope, planning(query)))
      compute(endpoint.resource, page.found, query.includes, query, settings)
      return page
    },
    async one(db, resource, scope: Scope, key, query) {
      const plan = planOne(resource, scope, planning(query))
      const found = await selectOne(db, plan.rows, plan.scope, key)
      compute(resource, found === null ? [] : [found], query.includes, query, settings)
      return found
    },
    async includes(db, resource, key, values, query) {
      const includes = planIncludes(resource, query.includes, planning(query))
      const found = await selectIncludes(db, includes, key, values)
      computeIncluded(resource, [found], query.includes, query, settings)
      return found
    },
  }
}

/** A row of which nothing is included, by values that are known already. */
export const withoutIncludes = (values: Found['values']): Found => ({ values, related: NOTHING })

const NOTHING: Found['related'] = new Map()

/** Gives rows, and those included in them, the values that are made of their columns. */
function compute(
  resource: Resource,
  rows: Iterable<Found>,
  includes: IncludeTree,
  { fields }: Pick<Query, 'fields'>,
  settings: ComputeSettings,
) {
  for (const [name, { computed }] of shownFields(resource, fields)) {
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
  rows: Iterable<Found>,
  includes: IncludeTree,
  query: Pick<Query, 'fields'>,
  settings: ComputeSettings,
) {
  for (const [name, below] of includes) {
    const other = relationAt(resource, [name]).resource()
    if (!hasComputed(other, below, query)) continue
    // Each once, however many rows share it.
    const related = new Set([...rows].flatMap(row => row.related.get(name) ?? []))
    compute(other, related, below, query, settings)
  }
}

/** Whether anything is to be computed in rows of a resource, or in what is included in them: mostly there is nothing. */
const hasComputed = (resource: Resource, includes: IncludeTree, query: Pick<Query, 'fields'>): boolean =>
  shownFields(resource, query.fields).some(([, { computed }]) => computed !== undefined) ||
  [...includes].some(([name, below]) => hasComputed(relationAt(resource, [name]).resource(), below, query))
