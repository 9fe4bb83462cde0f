import type { Found } from '#src/database/select/found.ts'
import { type Parameter, type Parameters, parseQueryString, searchOf } from '#src/input/querystring.ts'
import { formatDate } from './date.ts'
import type { Query } from './query.ts'
import {
  type Endpoint,
  type Field,
  type IncludeTree,
  type PivotFields,
  type Resource,
  relationAt,
} from './resource.ts'

/** The fields of a resource that a query shows, in the order of the declaration. */
export function shownFields(resource: Resource, fields: Query['fields']): [string, Field][] {
  const known = SHOWN.get(fields)?.get(resource)
  if (known !== undefined) return known
  const chosen = chooseFields(resource, fields)
  SHOWN.set(fields, new Map(SHOWN.get(fields)).set(resource, chosen))
  return chosen
}

/** What was chosen for each query: it is asked for with each row. */
const SHOWN = new WeakMap<Query['fields'], Map<Resource, [string, Field][]>>()

function chooseFields(resource: Resource, fields: Query['fields']): [string, Field][] {
  const asked = fields.get(resource.type)
  return Object.entries(resource.fields).filter(([name, { shown }]) =>
    asked === undefined ? shown === 'default' : shown !== 'never' && asked.includes(name),
  )
}

/** Renders a row as its declaration and the query say: its fields in order, then what is included. */
export function render(
  resource: Resource,
  { values, related, pivot }: Found,
  query: Pick<Query, 'fields' | 'includes'>,
  includes: IncludeTree = query.includes,
  shows?: PivotFields,
): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const [name, field] of shownFields(resource, query.fields))
    result[name] = renderValue(field, values[name])
  for (const [name, below] of includes) {
    const { resource: other, join } = relationAt(resource, [name])
    const renderOne = (item: Found) =>
      render(other(), item, query, below, join.by === 'pivot' ? join.shows : undefined)
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
      // A moment that never comes, or came before all others, is no date.
      return /^-?infinity$/.test(String(value)) ? null : formatDate(String(value))
    case 'enum':
      return field.labels?.[Number(value)] ?? null
    case 'json':
      return parseJson(String(value))
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

/** Where a request was sent: links are built on it. */
export interface RequestUrl {
  /** Scheme, host and port. */
  origin: string
  /** Path and query string. */
  url: string
}

/** Renders a page of a list, with links to its neighbours. Nobody counts what there is in all. */
export function renderPage(
  { resource }: Endpoint,
  query: Query,
  { found, hasMore }: { found: readonly Found[]; hasMore: boolean },
  { origin, url }: RequestUrl,
) {
  const { number, size } = query.page
  const [pathname = ''] = url.split('?', 1)
  const path = `${origin}${pathname.replace(/(?<=.)\/$/, '')}`
  const rest = flatten(parseQueryString(searchOf(url))).filter(([name]) => name !== 'page[number]')
  const link = (page: number) =>
    `${path}?${[...rest, ['page[number]', String(page)]].map(pair => pair.map(encode).join('=')).join('&')}`
  const from = found.length === 0 ? null : (number - 1) * size + 1
  return {
    [resource.plural]: found.map(row => render(resource, row, query)),
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

/** Parameters as pairs of bracketed name and value; those without a value are left out, as PHP does. */
function flatten(parameters: Parameters): [string, string][] {
  const under = (name: string, value: Parameter): [string, string][] => {
    if (value === null) return []
    if (typeof value === 'string') return [[name, value]]
    return Object.entries(value).flatMap(([inner, below]) => under(`${name}[${inner}]`, below))
  }
  return Object.entries(parameters).flatMap(([name, value]) => under(name, value))
}

/** Percent-encoding that leaves RFC 3986's unreserved characters alone, and no others. */
const encode = (text: string) =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
