import { MAX_COST } from './cost.ts'
import { PAGE_SIZE, VALUE_LIMITS } from './parse/limits.ts'
import {
  type Endpoint,
  endpointTypes,
  type Field,
  includePaths,
  isFilterable,
  isSortable,
  type Resource,
} from './resource.ts'
import { COMPARISONS_BY_KIND } from './values.ts'

const listOf = (names: readonly string[]) => ({
  type: 'array',
  items: { type: 'string', enum: names },
  uniqueItems: true,
})

/** The same within a deep object, where OpenAPI has no comma-separated lists and tools would send JSON. */
const commaText = (names: readonly string[]) => {
  const anyOf = `(${names.map(name => name.replaceAll('.', '\\.')).join('|')})`
  return { type: 'string', pattern: `^${anyOf}(,${anyOf})*$`, description: names.join(', ') }
}

/** A parameter with names in brackets (`deepObject`). */
const deepObject = (name: string, description: string, properties: object, example: object) => ({
  in: 'query',
  name,
  required: false,
  description,
  style: 'deepObject',
  explode: true,
  schema: { type: 'object', additionalProperties: false, properties },
  example,
})

/** A parameter that is a comma-separated list. */
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

/** Returns the OpenAPI description of an endpoint's query parameters, with the names that each accepts. */
export function queryParameters(endpoint: Endpoint): object[] {
  const { resource, kind, search, isSequence = false } = endpoint
  const types = endpointTypes(endpoint)
  const paths = includePaths(endpoint)
  const isIndex = kind === 'index'
  const others = [...types.values()].filter(type => type !== resource)
  const filtered = isSequence ? [] : isIndex ? [...types.values()] : others
  return [
    fieldsParameter(resource, types),
    ...includeParameter(paths),
    ...(search === 'names' ? [SEARCH] : []),
    ...(filtered.length > 0
      ? [deepObject('filter', FILTER, filterProperties(resource, filtered, paths, isIndex), {})]
      : []),
    ...(isIndex
      ? [...(isSequence ? [] : [sortParameter(resource)]), PAGE]
      : others.length > 0
        ? [includedSortParameter(others)]
        : []),
  ]
}

const fieldsParameter = (resource: Resource, types: ReadonlyMap<string, Resource>) =>
  deepObject(
    'fields',
    'The fields to show, by type, instead of the default ones.',
    Object.fromEntries([...types].map(([name, type]) => [name, commaText(Object.keys(type.fields))])),
    { [resource.type]: defaultNames(resource) },
  )

const includeParameter = (paths: readonly string[]) =>
  paths
    .slice(0, 1)
    .map(path => commaList('include', 'The relations to include, as dotted paths.', paths, [path]))

const SEARCH = {
  in: 'query',
  name: 'q',
  required: false,
  description: 'Words that a name must have, such as `best`. Only public rows are searched.',
  schema: { type: 'string', maxLength: VALUE_LIMITS.search },
}

function sortParameter(resource: Resource) {
  const names = sortNames(resource)
  return commaList('sort', 'The order, most important first; `-` reverses a key.', names, names.slice(0, 1))
}

const includedSortParameter = (others: readonly Resource[]) =>
  deepObject(
    'sort',
    'The order of included rows, by type.',
    Object.fromEntries(others.map(type => [type.type, commaText(sortNames(type))])),
    {},
  )

const PAGE = deepObject(
  'page',
  'The page number, and the number of items per page.',
  {
    number: { type: 'integer', minimum: 1, default: 1 },
    size: { type: 'integer', minimum: 1, maximum: PAGE_SIZE.max, default: PAGE_SIZE.default },
  },
  { number: 1, size: PAGE_SIZE.default },
)

const FILTER =
  'Conditions. A name may be followed by a comparison (`name-like=%25op%25`) and by its connector to the previous ones ' +
  '(`name-like-or`); a comma-separated list means one of them, with `-not` none of them. A name alone applies to ' +
  'every type that has it; in the brackets of a type, to that type: `filter[track][video_id]=1`. A query that costs ' +
  `too much is a 422: over ${MAX_COST.guest} for guests and ${MAX_COST.user} for users, as the README counts it.`

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
        description: `${field.labels ? field.labels.join(', ') : field.kind}; ${COMPARISONS_BY_KIND[field.kind].join(', ')}`,
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
