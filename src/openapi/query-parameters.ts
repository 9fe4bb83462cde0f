import { MAX_COST } from '#src/query/cost.ts'
import { PAGE_SIZE, VALUE_LIMITS } from '#src/query/parse/limits.ts'
import type { Comparison } from '#src/query/query.ts'
import {
  type Endpoint,
  endpointTypes,
  type Field,
  includePaths,
  isFilterable,
  isSortable,
  type Resource,
} from '#src/query/resource.ts'
import { COMPARISONS_BY_KIND } from '#src/query/values.ts'
import type { Components, Reference } from './components.ts'

/** A parameter of the query string that takes one value. */
const scalar = (name: string, description: string, schema: object) => ({
  name,
  in: 'query',
  ...(description && { description }),
  schema,
})

/** A comma-separated list (style `form`, which is the default) in which nothing may be repeated. */
const list = (name: string, description: string, items: object) => ({
  ...scalar(name, description, { type: 'array', items, uniqueItems: true }),
  explode: false,
})

/** A parameter whose properties are in brackets behind its name. */
const deepObject = (name: string, description: string, schema: object) => ({
  ...scalar(name, description, schema),
  style: 'deepObject',
  explode: true,
  // Swagger UI would make one up, and send it.
  example: {},
})

/** A list of some of these names. */
const nameList = (name: string, description: string, all: readonly string[]) =>
  list(name, description, { type: 'string', enum: [...all] })

/**
 * Describes the query parameters of an endpoint by their literal names, such as `filter[name-like]`: form-encoded, with
 * commas between the items of lists.
 */
export function queryParameters(endpoint: Endpoint, components: Components): Reference[] {
  const { resource, kind, search, isSequence = false } = endpoint
  const types = [...endpointTypes(endpoint).values()]
  const included = types.filter(type => type !== resource)
  const paths = includePaths(endpoint)
  const isIndex = kind === 'index'
  const refer = (name: string, parameter: object) => components.refer('parameters', name, parameter)
  const variant = isSequence ? '.sequence' : ''

  const fields = types.map(type =>
    refer(`fields.${type.schemaName}${type === resource ? variant : ''}`, fieldsParameter(type)),
  )
  const include =
    paths.length === 0
      ? []
      : [refer(`include.${resource.schemaName}${variant}`, nameList('include', INCLUDE, paths))]
  const filters = isSequence
    ? []
    : [
        ...(isIndex ? ownFilters(resource, components) : []),
        ...included.flatMap(type => includedFilters(type, components)),
      ]
  const has =
    isIndex && !isSequence && paths.length > 0
      ? [refer(`filter.${resource.schemaName}.has`, nameList('filter[has]', HAS, paths))]
      : []
  return [
    ...fields,
    ...include,
    ...(search === 'names' ? [refer('q', SEARCH)] : []),
    ...filters,
    ...has,
    ...(filters.length > 0 ? [refer('filter', FILTER)] : []),
    ...(isIndex && !isSequence
      ? [refer(`sort.${resource.schemaName}`, nameList('sort', SORT, sortNames(resource)))]
      : included.length > 0 && !isSequence
        ? [refer('sort', INCLUDED_SORT)]
        : []),
    ...(isIndex ? [refer('page.number', PAGE_NUMBER), refer('page.size', PAGE_SIZE_PARAMETER)] : []),
  ]
}

const INCLUDE = 'The relations to include.'

const HAS = 'Only rows that have these relations.'

const SORT = 'The order, most important first; `-` reverses a key. Each key once; `random` alone.'

const SEARCH = scalar('q', 'Words that a name must have. Only public rows are searched.', {
  type: 'string',
  minLength: 1,
  maxLength: VALUE_LIMITS.search,
})

const ANY_TEXT = { type: 'object', additionalProperties: { type: 'string' } }

const FILTER = deepObject(
  'filter',
  'Any other condition. In `-like`, `%` stands for any text, and `_` for one character. A comma separates values. After a name and its comparison, ' +
    '`-or` connects it to the previous condition by *or* instead of *and* (`filter[name-like-or]`), and `-not` excludes a ' +
    'list (`filter[id-not]`). Every comparison also works within the brackets of a type (`filter[track][video_id-gt]`), ' +
    'and `has` compares how many related rows there are (`filter[has-lt]`). A query that costs too much is a 422: over ' +
    `${MAX_COST.guest} for guests and ${MAX_COST.user} for users.`,
  ANY_TEXT,
)

const INCLUDED_SORT = deepObject(
  'sort',
  'The order of included rows, by type: `sort[track]=-created_at`.',
  ANY_TEXT,
)

const PAGE_NUMBER = scalar('page[number]', 'The page, from 1.', { type: 'integer', minimum: 1 })

// Without a default, which Swagger UI would send with every request.
const PAGE_SIZE_PARAMETER = scalar(
  'page[size]',
  `The number of items per page, ${PAGE_SIZE.default} unless given.`,
  { type: 'integer', minimum: 1, maximum: PAGE_SIZE.max },
)

const fieldsParameter = ({ type, fields }: Resource) =>
  nameList(`fields[${type}]`, 'The fields to show instead of the default ones.', Object.keys(fields))

function sortNames({ fields }: Resource): string[] {
  const sortable = Object.keys(fields).filter(name => isSortable(fields[name] as Field))
  return [...sortable.flatMap(name => [name, `-${name}`]), 'random']
}

/** Comparisons that take a list: the value is one of these, or none of them. */
const TAKES_LIST: ReadonlySet<Comparison> = new Set(['eq', 'ne'])

/** The filters of an endpoint's own rows: each field alone, which means `eq`, and with each other comparison. */
function ownFilters({ schemaName, fields }: Resource, components: Components): Reference[] {
  return Object.entries(fields)
    .filter(([, field]) => isFilterable(field))
    .flatMap(([name, field]) =>
      comparedNames(name, field).map(([key, comparison]) => {
        const parameter = filterParameter(`filter[${key}]`, field, comparison, components)
        return components.referToAny(
          'parameters',
          [`filter.${key}`, `filter.own.${schemaName}.${key}`],
          parameter,
        )
      }),
    )
}

/** Fields that every resource has. As those of included rows they are left to the parameter `filter`, for brevity. */
const COMMON_FIELDS: ReadonlySet<string> = new Set(['created_at', 'updated_at', 'deleted_at'])

/**
 * The filters of included rows of a type. Each field of a list's rows has a parameter of its own. Rows of the wiki have
 * many fields, which are the properties of one parameter.
 */
function includedFilters(
  { type, schemaName, fields, isWiki }: Resource,
  components: Components,
): Reference[] {
  const filterable = Object.entries(fields).filter(
    ([name, field]) => isFilterable(field) && !COMMON_FIELDS.has(name),
  )
  if (!isWiki) {
    return filterable.map(([name, field]) =>
      components.refer(
        'parameters',
        `filter.${schemaName}.${name}`,
        filterParameter(`filter[${type}][${name}]`, field, 'eq', components),
      ),
    )
  }
  const properties = filterable.flatMap(([name, field]) =>
    comparedNames(name, field).map(([key]) => [key, valueSchema(field, components)]),
  )
  return [
    components.refer('parameters', `filter.${schemaName}`, {
      ...deepObject(`filter[${type}]`, '', { type: 'object', properties: Object.fromEntries(properties) }),
    }),
  ]
}

/** A field's name, which means `eq`, and its name with each other comparison. */
const comparedNames = (name: string, { kind }: Field): [key: string, comparison: Comparison][] =>
  COMPARISONS_BY_KIND[kind].map(comparison => [
    comparison === 'eq' ? name : `${name}-${comparison}`,
    comparison,
  ])

function filterParameter(name: string, field: Field, comparison: Comparison, components: Components): object {
  const { kind, aggregate } = field
  const value = valueSchema(field, components)
  const takesList = TAKES_LIST.has(comparison) && aggregate === undefined && kind !== 'boolean'
  if (!takesList) return scalar(name, '', value)
  return list(name, '', value)
}

/** The schema of a value in the query string. */
function valueSchema({ kind, labels }: Field, components: Components): object {
  switch (kind) {
    case 'integer':
      return { type: 'integer' }
    case 'float':
      return { type: 'number' }
    case 'boolean':
      return { type: 'boolean' }
    case 'enum':
      return { type: 'string', enum: [...(labels ?? [])] }
    case 'date':
      return components.refer('schemas', 'PartialDate', PARTIAL_DATE)
    default:
      return { type: 'string', pattern: '\\S' }
  }
}

const PARTIAL_DATE = {
  type: 'string',
  description:
    'A date in UTC, from the year to the microsecond; missing parts are the beginning of the period. Or one that a response shows.',
  pattern: '^\\d{4}(-\\d\\d(-\\d\\d(T\\d\\d(:\\d\\d(:\\d\\d(\\.\\d{6}Z?)?)?)?)?)?)?$',
  examples: ['2026-03'],
}
