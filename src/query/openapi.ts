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

/** The name of a resource's schema. */
const schemaName = ({ type, schemaName = type }: Resource) => schemaName

const reference = (resource: Resource): TSchema => Type.Unsafe<unknown>({ $ref: `${schemaName(resource)}#` })

/**
 * Makes one schema per resource that the endpoints return: all fields and includes that any of them offers, all
 * optional because of sparse fieldsets.
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

/** The includes of a resource that endpoints offer. */
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

/** Makes the response schema of a row, under the name of its type. */
export function showSchema(endpoint: Endpoint, description: string): TSchema {
  const { resource } = endpoint
  return Type.Object(
    { [resource.type]: reference(resource) },
    { description, examples: [{ [resource.type]: exampleOf(resource) }] },
  )
}

const nullable = (type: 'string' | 'integer', description: string) =>
  Type.Unsafe<unknown>({ type: [type, 'null'], description })

/** Makes the response schema of a page of a list. */
export function pageSchema(endpoint: Endpoint, description: string): TSchema {
  const { resource } = endpoint
  const url = 'https://api.example.org/list'
  const first = `${url}?page%5Bnumber%5D=1`
  return Type.Object(
    {
      [resource.plural]: Type.Array(reference(resource)),
      links: Type.Object({
        first: Type.String({ description: 'The first page.' }),
        last: nullable('string', 'Always null: rows are not counted.'),
        prev: nullable('string', 'The page before.'),
        next: nullable('string', 'The page after, to be requested unchanged.'),
      }),
      meta: Type.Object({
        current_page: Type.Integer(),
        current_page_url: Type.String(),
        from: nullable('integer', "The first item's position in the list, from 1."),
        path: Type.String(),
        per_page: Type.Integer(),
        to: nullable('integer', "The last item's position in the list."),
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
