import { type TSchema, Type } from 'typebox'
import { MOST_COST } from './cost.ts'
import { VALUE_LIMITS } from './parse/limits.ts'
import {
  type Endpoint,
  endpointTypes,
  type Field,
  type IncludeTree,
  includePaths,
  includeTree,
  isFilterable,
  isSortable,
  type PivotFields,
  type Resource,
  relationAt,
} from './resource.ts'
import { COMPARISONS_OF } from './values.ts'

const JSON_TYPES = {
  string: 'string',
  integer: 'integer',
  float: 'number',
  boolean: 'boolean',
  date: 'string',
  enum: 'string',
} as const

function fieldSchema({ kind, nullable, about = '', labels, isRawText }: Field): TSchema {
  if (kind === 'json') return Type.Unsafe<unknown>({ description: about })
  const type = JSON_TYPES[kind]
  return Type.Unsafe<unknown>({
    type: nullable ? [type, 'null'] : type,
    description: about,
    ...(kind === 'date' && !isRawText && { format: 'date-time' }),
    ...(labels && { enum: nullable ? [...labels, null] : [...labels] }),
  })
}

/** The name under which a resource's schema stands. */
const schemaName = ({ type, schemaName = type }: Resource) => schemaName

const reference = (resource: Resource): TSchema => Type.Unsafe<unknown>({ $ref: `${schemaName(resource)}#` })

/**
 * The resources that endpoints show as JSON, each as one schema: whatever may be asked for anywhere, none of it
 * required, since sparse fieldsets may leave out anything.
 */
export function resourceSchemas(endpoints: readonly Endpoint[]): TSchema[] {
  const shown = new Map<string, Shown>()
  const add = (resource: Resource, includes: IncludeTree) => {
    const name = schemaName(resource)
    const known = shown.get(name) ?? { resource, relations: new Set(), pivots: new Map() }
    shown.set(name, known)
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
  return [...shown].map(([$id, what]) => resourceSchema($id, what))
}

/** What endpoints show of a resource. */
interface Shown {
  resource: Resource
  relations: Set<string>
  pivots: Map<string, PivotFields>
}

function resourceSchema($id: string, { resource, relations, pivots }: Shown): TSchema {
  const properties: Record<string, TSchema> = {}
  for (const [name, field] of Object.entries(resource.fields)) {
    if (field.shown !== 'never') properties[name] = Type.Optional(fieldSchema(field))
  }
  for (const [name, { many, resource: other }] of Object.entries(resource.relations)) {
    if (!relations.has(name)) continue
    const schema = reference(other())
    properties[name] = Type.Optional(many ? Type.Array(schema) : Type.Union([schema, Type.Null()]))
  }
  for (const [name, { fields, about }] of pivots) {
    const shown = Object.entries(fields).map(([field, kind]) => [field, fieldSchema(kind)])
    properties[name] = Type.Optional(Type.Object(Object.fromEntries(shown), { description: about }))
  }
  return Type.Object(properties, { $id, description: resource.about })
}

function exampleOf({ fields }: Resource): Record<string, unknown> {
  const shown = Object.entries(fields).filter(([, field]) => field.shown === 'default')
  return Object.fromEntries(shown.map(([name, field]) => [name, field.example]))
}

/** The answer of a route that shows one thing, under the name of its type. */
export function showSchema(endpoint: Endpoint, description: string): TSchema {
  const { resource } = endpoint
  return Type.Object(
    { [resource.type]: reference(resource) },
    { description, examples: [{ [resource.type]: exampleOf(resource) }] },
  )
}

const nullable = (type: 'string' | 'integer', description: string) =>
  Type.Unsafe<unknown>({ type: [type, 'null'], description })

/** The answer of a route that shows a page of a list. */
export function pageSchema(endpoint: Endpoint, description: string): TSchema {
  const { resource } = endpoint
  const url = 'https://api.example.org/list'
  const first = `${url}?page%5Bnumber%5D=1`
  return Type.Object(
    {
      [resource.plural]: Type.Array(reference(resource)),
      links: Type.Object({
        first: Type.String({ description: 'The first page.' }),
        last: nullable('string', 'Always null: nobody counts the rows.'),
        prev: nullable('string', 'The page before.'),
        next: nullable('string', 'The page after, to be requested as it stands.'),
      }),
      meta: Type.Object({
        current_page: Type.Integer(),
        current_page_url: Type.String(),
        from: nullable('integer', "The first item's place in the list, from 1."),
        path: Type.String(),
        per_page: Type.Integer(),
        to: nullable('integer', "The last item's place in the list."),
      }),
    },
    {
      description,
      examples: [
        {
          [resource.plural]: [exampleOf(resource)],
          links: { first, last: null, prev: null, next: null },
          meta: { current_page: 1, current_page_url: first, from: 1, path: url, per_page: 15, to: 1 },
        },
      ],
    },
  )
}

const listOf = (names: readonly string[]) => ({
  type: 'array',
  items: { type: 'string', enum: names },
  uniqueItems: true,
})

/** The same inside of a deep object, where OpenAPI knows no lists and tools would write JSON. */
const commaText = (names: readonly string[]) => {
  const anyOf = `(${names.map(name => name.replaceAll('.', '\\.')).join('|')})`
  return { type: 'string', pattern: `^${anyOf}(,${anyOf})*$`, description: names.join(', ') }
}

/** The query parameters of an endpoint, as OpenAPI describes them, with the names that each takes. */
export function queryParameters(endpoint: Endpoint): object[] {
  const { resource, kind, search, isSequence = false } = endpoint
  const types = endpointTypes(endpoint)
  const paths = includePaths(endpoint)
  const isIndex = kind === 'index'
  const others = [...types.values()].filter(type => type !== resource)
  const about = isIndex ? [...types.values()] : others
  const deep = (name: string, description: string, properties: object, example: object) => ({
    in: 'query',
    name,
    required: false,
    description,
    style: 'deepObject',
    explode: true,
    schema: { type: 'object', additionalProperties: false, properties },
    example,
  })
  const commaList = (name: string, description: string, names: readonly string[], example: string[]) => ({
    in: 'query',
    name,
    required: false,
    description,
    style: 'form',
    explode: false,
    schema: listOf(names),
    example,
  })

  const parameters: object[] = [
    deep(
      'fields',
      'The fields to show, by type, instead of the default ones.',
      Object.fromEntries([...types].map(([name, type]) => [name, commaText(Object.keys(type.fields))])),
      { [resource.type]: defaultNames(resource) },
    ),
  ]
  const [path] = paths
  if (path !== undefined) {
    parameters.push(commaList('include', 'The relations to include, as dotted paths.', paths, [path]))
  }
  if (search === 'names') {
    parameters.push({
      in: 'query',
      name: 'q',
      required: false,
      description: 'Words that a name must have, such as `best`. Only what is public is found.',
      schema: { type: 'string', maxLength: VALUE_LIMITS.search },
    })
  }
  if (about.length > 0 && !isSequence) {
    parameters.push(deep('filter', FILTER, filterProperties(resource, about, paths, isIndex), {}))
  }
  if (isIndex) {
    const names = sortNames(resource)
    if (!isSequence) {
      parameters.push(
        commaList('sort', 'The order, most important first; `-` turns one round.', names, names.slice(0, 1)),
      )
    }
    parameters.push(
      deep(
        'page',
        'Which page, and how many items on each.',
        {
          number: { type: 'integer', minimum: 1, default: 1 },
          size: { type: 'integer', minimum: 1, maximum: 100, default: 15 },
        },
        { number: 1, size: 15 },
      ),
    )
  } else if (others.length > 0) {
    parameters.push(
      deep(
        'sort',
        'The order of what is included, by type.',
        Object.fromEntries(others.map(type => [type.type, commaText(sortNames(type))])),
        {},
      ),
    )
  }
  return parameters
}

const FILTER =
  'Conditions. A name may be followed by a comparison (`name-like=%25op%25`) and by how it is joined to those before ' +
  '(`name-like-or`); a comma-separated list means one of them, with `-not` none of them. A name alone is about every ' +
  'type that has it, one in the brackets of a type about that type: `filter[track][video_id]=1`. A question that costs ' +
  `too much is a 422: over ${MOST_COST.guest} for guests and ${MOST_COST.user} for users, as the README counts it.`

const defaultNames = ({ fields }: Resource) =>
  Object.keys(fields)
    .filter(name => fields[name]?.shown === 'default')
    .join(',')

function sortNames({ fields }: Resource): string[] {
  const names = Object.keys(fields).filter(name => isSortable(fields[name] as Field))
  return [...names.flatMap(name => [name, `-${name}`]), 'random']
}

function filterProperties(
  resource: Resource,
  about: readonly Resource[],
  paths: readonly string[],
  isIndex: boolean,
): Record<string, object> {
  const properties: Record<string, object> = {}
  for (const type of about) {
    for (const [name, field] of Object.entries(type.fields)) {
      if (!isFilterable(field)) continue
      properties[name] ??= {
        type: 'string',
        description: `${field.labels ? field.labels.join(', ') : field.kind}; ${COMPARISONS_OF[field.kind].join(', ')}`,
      }
    }
  }
  if (isIndex && paths.length > 0) {
    properties.has = { type: 'string', description: `related rows exist: ${paths.join(', ')}` }
  }
  for (const type of about) {
    if (type === resource || !Object.values(type.fields).some(isFilterable)) continue
    properties[type.type] = { type: 'object', description: `conditions on each ${type.type} alone` }
  }
  return properties
}
