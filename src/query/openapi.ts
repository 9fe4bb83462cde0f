import { type TSchema, Type } from 'typebox'
import {
  type Endpoint,
  type Field,
  type IncludeTree,
  includePaths,
  includeTree,
  type PivotFields,
  type Resource,
  relationAt,
} from './resource.ts'

const JSON_TYPES = {
  string: 'string',
  integer: 'integer',
  float: 'number',
  boolean: 'boolean',
  date: 'string',
  enum: 'string',
} as const

function fieldSchema({ kind, nullable, about, labels, isRawText, schema = {} }: Field): object {
  const { type, ...rest } = kind === 'json' ? (schema as { type?: unknown }) : { type: JSON_TYPES[kind] }
  return {
    ...(type !== undefined && { type: nullable ? [type, 'null'].flat() : type }),
    ...rest,
    ...(about && { description: about }),
    ...(kind === 'date' && !isRawText && { format: 'date-time' }),
    ...(labels && { enum: nullable ? [...labels, null] : [...labels] }),
  }
}

/** Refers to a schema of the OpenAPI document. */
export const schemaReference = (name: string): TSchema =>
  Type.Unsafe<unknown>({ $ref: `#/components/schemas/${name}` })

const reference = ({ schemaName }: Resource): TSchema => schemaReference(schemaName)

/**
 * Makes one schema per resource that the endpoints return, by its name: all fields and includes that any of them
 * offers. The default fields are required: a response lacks them only when it was asked for others (`fields[…]`).
 */
export function resourceSchemas(endpoints: readonly Endpoint[]): Record<string, object> {
  const shown = new Map<string, Shown>()
  const add = (resource: Resource, includes: IncludeTree) => {
    const { schemaName } = resource
    const known = shown.get(schemaName) ?? { resource, relations: new Set(), pivots: new Map() }
    shown.set(schemaName, known)
    for (const [name, below] of includes) {
      const { resource: other, join } = relationAt(resource, [name])
      known.relations.add(name)
      const found = add(other(), below)
      if (join.by === 'pivot' && join.shows) found.pivots.set(join.shows.name, join.shows)
    }
    return known
  }
  for (const endpoint of endpoints) {
    add(endpoint.resource, includeTree(endpoint.resource, includePaths(endpoint)))
  }
  return Object.fromEntries([...shown].map(([name, what]) => [name, resourceSchema(what)]))
}

/** The includes of a resource that endpoints offer. */
interface Shown {
  resource: Resource
  relations: Set<string>
  pivots: Map<string, PivotFields>
}

function resourceSchema({ resource, relations, pivots }: Shown): object {
  const properties: Record<string, object> = {}
  for (const [name, field] of Object.entries(resource.fields)) {
    if (field.shown !== 'never') properties[name] = fieldSchema(field)
  }
  for (const [name, { many, resource: other }] of Object.entries(resource.relations)) {
    if (!relations.has(name)) continue
    const schema = reference(other())
    properties[name] = many ? { type: 'array', items: schema } : { anyOf: [schema, { type: 'null' }] }
  }
  for (const [name, { fields, about }] of pivots) {
    const shown = Object.entries(fields).map(([field, kind]) => [field, fieldSchema(kind)])
    properties[name] = { type: 'object', description: about, properties: Object.fromEntries(shown) }
  }
  return {
    type: 'object',
    description: resource.about,
    properties,
    required: Object.keys(resource.fields).filter(name => resource.fields[name]?.shown === 'default'),
    // The wiki has an API of its own, which explains its fields and shows examples.
    ...(!resource.isWiki && { examples: [exampleOf(resource)] }),
  }
}

function exampleOf({ fields }: Resource): Record<string, unknown> {
  const shown = Object.entries(fields).filter(([, field]) => field.shown === 'default')
  return Object.fromEntries(shown.map(([name, field]) => [name, field.example]))
}

/** Makes the response schema of a row, under the name of its type. `component` is the name of the response. */
export function showSchema(endpoint: Endpoint, description: string): TSchema {
  const { resource } = endpoint
  return Type.Object(
    { [resource.type]: reference(resource) },
    { component: resource.schemaName, description },
  )
}

const nullable = (type: 'string' | 'integer', description: string) => ({ type: [type, 'null'], description })

/** The schemas of the parts of every page, by name. */
export const PAGE_SCHEMAS: Readonly<Record<string, object>> = {
  PageLinks: {
    type: 'object',
    required: ['first', 'last', 'prev', 'next'],
    properties: {
      first: { type: 'string', description: 'The first page.' },
      last: { type: 'null', description: 'Always null: rows are not counted.' },
      prev: nullable('string', 'The page before.'),
      next: nullable('string', 'The page after, to be requested unchanged.'),
    },
  },
  PageMeta: {
    type: 'object',
    required: ['current_page', 'current_page_url', 'from', 'path', 'per_page', 'to'],
    properties: {
      current_page: { type: 'integer' },
      current_page_url: { type: 'string' },
      from: nullable('integer', "The first item's position in the list, from 1."),
      path: { type: 'string' },
      per_page: { type: 'integer' },
      to: nullable('integer', "The last item's position in the list."),
    },
  },
}

/** Makes the response schema of a page of a list. `component` is the name of the response. */
export function pageSchema(endpoint: Endpoint, description: string): TSchema {
  const { resource } = endpoint
  return Type.Object(
    {
      [resource.plural]: Type.Array(reference(resource)),
      links: schemaReference('PageLinks'),
      meta: schemaReference('PageMeta'),
    },
    { component: `${resource.schemaName}Page`, description },
  )
}
