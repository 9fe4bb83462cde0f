import type { FoundRow } from '#src/database/select/found.ts'
import { KEY } from '#src/database/select/plan.ts'
import type { Parameter, Parameters } from '#src/input/querystring.ts'
import { formatDate } from './date.ts'
import { readParameters } from './parse/parameters.ts'
import type { Query } from './query.ts'
import {
  type Endpoint,
  type Field,
  type IncludeTree,
  type Kind,
  type PivotFields,
  type Resource,
  relationAt,
} from './resource.ts'

/** Returns the fields of a resource that a query selects, in the order of the declaration. */
export function selectedFields(resource: Resource, fields: Query['fields']): [string, Field][] {
  const cached = SELECTIONS.get(fields)?.get(resource)
  if (cached !== undefined) return cached
  const selected = selectFields(resource, fields)
  SELECTIONS.set(fields, new Map(SELECTIONS.get(fields)).set(resource, selected))
  return selected
}

/** The selection per query, which is read for each row. */
const SELECTIONS = new WeakMap<Query['fields'], Map<Resource, [string, Field][]>>()

function selectFields(resource: Resource, fields: Query['fields']): [string, Field][] {
  const requested = fields.get(resource.type)
  return Object.entries(resource.fields).filter(([name, { shown }]) =>
    requested === undefined ? shown === 'default' : shown !== 'never' && requested.includes(name),
  )
}

/** Renders a row: its selected fields in order, then its includes. */
export function renderRow(
  resource: Resource,
  { values, related, pivot }: FoundRow,
  query: Pick<Query, 'fields' | 'includes'>,
  includes: IncludeTree = query.includes,
  shows?: PivotFields,
): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const [name, field] of selectedFields(resource, query.fields))
    result[name] = renderValue(field, values[name])
  for (const [name, nested] of includes) {
    const { resource: other, join } = relationAt(resource, [name])
    const renderOne = (item: FoundRow) =>
      renderRow(other(), item, query, nested, join.by === 'pivot' ? join.shows : undefined)
    const found = related.get(name) ?? null
    result[name] = Array.isArray(found) ? found.map(renderOne) : found && renderOne(found)
  }
  if (pivot !== undefined && shows !== undefined) {
    const shown = Object.entries(shows.fields)
    result[shows.name] = Object.fromEntries(
      shown.map(([name, field]) => [name, renderValue(field, pivot[name])]),
    )
  }
  return result
}

function renderValue(field: Field, value: unknown): unknown {
  if (value === null || value === undefined) return null
  switch (field.kind) {
    case 'date':
      if (field.isRawText) return value
      // `infinity` and `-infinity` are no dates.
      return value === 'infinity' || value === '-infinity' ? null : formatDate(String(value))
    case 'enum':
      return field.labels?.[Number(value)] ?? null
    case 'json':
      return parseJson(String(value))
    case 'float':
      // NaN and infinite numbers, which PostgreSQL writes to JSON as text.
      return typeof value === 'number' ? value : null
    default:
      return value
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** The request's URL, on which links are based. */
export interface RequestUrl {
  /** Scheme, host and port. */
  origin: string
  /** Path and query string. */
  url: string
}

/**
 * Makes the function that renders pages of a list with links to their neighbours, for requests with the same query
 * string. The total is not counted. Rows without includes and computed fields are rendered in place.
 *
 * @param search the query string
 */
export function pageRenderer({ resource }: Endpoint, query: Query, search: string) {
  const { number, size } = query.page
  const others = flatten(readParameters(search)).filter(([name]) => name !== 'page[number]')
  const linkSearch = [...others, ['page[number]', '']].map(pair => pair.map(encode).join('=')).join('&')
  const renderRows = rowsRenderer(resource, query)
  return (
    { found, hasMore }: { found: readonly FoundRow[]; hasMore: boolean },
    { origin, url }: RequestUrl,
  ) => {
    const mark = url.indexOf('?')
    const pathname = mark === -1 ? url : url.slice(0, mark)
    const path = origin + (pathname.length > 1 && pathname.endsWith('/') ? pathname.slice(0, -1) : pathname)
    const link = (page: number) => `${path}?${linkSearch}${page}`
    const from = found.length === 0 ? null : (number - 1) * size + 1
    return {
      [resource.plural]: renderRows(found),
      links: {
        first: link(1),
        last: null,
        prev: number > 1 ? link(number - 1) : null,
        next: hasMore ? link(number + 1) : null,
      },
      meta: {
        current_page: number,
        current_page_url: link(number),
        from,
        path,
        per_page: size,
        to: from === null ? null : from + found.length - 1,
      },
    }
  }
}

/** Makes the function that renders the rows of a query's page. */
function rowsRenderer(resource: Resource, query: Query) {
  const selected = selectedFields(resource, query.fields)
  const isPlain = query.includes.size === 0 && selected.every(([, { computed }]) => computed === undefined)
  const converted = selected.filter(([, { kind }]) => !IDENTICAL_KINDS.has(kind))
  return (found: readonly FoundRow[]): Record<string, unknown>[] => {
    const [first] = found
    // A row that was selected without its key has the selected fields in order, and nothing else.
    if (!isPlain || first === undefined || Object.hasOwn(first.values, KEY)) {
      return found.map(row => renderRow(resource, row, query))
    }
    return found.map(({ values }) => {
      for (const [name, field] of converted) values[name] = renderValue(field, values[name])
      return values
    })
  }
}

/** The kinds whose values are rendered as they are stored. */
const IDENTICAL_KINDS: ReadonlySet<Kind> = new Set<Kind>(['string', 'integer', 'boolean'])

/** Flattens parameters to pairs of bracketed name and value. Parameters without a value are omitted, as in PHP. */
function flatten(parameters: Parameters): [string, string][] {
  const under = (name: string, value: Parameter): [string, string][] => {
    if (value === null) return []
    if (typeof value === 'string') return [[name, value]]
    return Object.entries(value).flatMap(([inner, nested]) => under(`${name}[${inner}]`, nested))
  }
  return Object.entries(parameters).flatMap(([name, value]) => under(name, value))
}

/** Percent-encodes all but the unreserved characters of RFC 3986. */
const encode = (text: string) =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
