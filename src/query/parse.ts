import { unprocessable } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { parseInteger } from '#src/input/integer.ts'
import {
  type Parameter,
  type Parameters,
  parseQueryString,
  QueryTooLarge,
  searchOf,
} from '#src/input/querystring.ts'
import {
  COMPARISONS,
  type Comparison,
  type Condition,
  type Connector,
  type Order,
  type Query,
} from './query.ts'
import {
  type Endpoint,
  endpointTypes,
  type Field,
  includePaths,
  includeTree,
  isFilterable,
  isSortable,
  type Resource,
} from './resource.ts'
import { COMPARISONS_OF, parseValue, valueMessage } from './values.ts'

const { rules } = MESSAGES

/**
 * The bounds of a list's length and of a value's, in items and characters, and of how many relations all filters
 * together may ask for: the database plans each of them with all others.
 */
export const VALUE_LIMITS = { items: 100, characters: 1_000, search: 100, relations: 16 } as const

const PAGE_SIZE = { standard: 15, most: 100 } as const

/** What an endpoint offers, worked out once. */
interface Rules {
  endpoint: Endpoint
  types: ReadonlyMap<string, Resource>
  paths: readonly string[]
}

/**
 * Makes the function that understands an endpoint's query strings. It throws a 422 that tells every fault, by
 * dotted name of the parameter; parameters that the language does not have are left alone.
 */
export function queryParser(endpoint: Endpoint): (url: string) => Query {
  const rules = { endpoint, types: endpointTypes(endpoint), paths: includePaths(endpoint) }
  const read = (text: string): Query => {
    const parameters = readParameters(text)
    const faults = new Faults()
    const query = {
      fields: readFields(rules, parameters.fields, faults),
      conditions: readFilter(rules, parameters.filter, faults),
      includes: readInclude(rules, parameters.include, faults),
      page: readPage(rules, parameters.page, faults),
      orders: readSort(rules, parameters.sort, faults),
      search: readSearch(rules, parameters.q, faults),
    }
    faults.throwIfAny()
    return query
  }

  let plain: Query | undefined
  return url => {
    const search = searchOf(url)
    if (search !== '') return read(search)
    plain ??= read('')
    return plain
  }
}

function readParameters(text: string): Parameters {
  try {
    return parseQueryString(text)
  } catch (error) {
    if (!(error instanceof QueryTooLarge)) throw error
    throw unprocessable({ query: [error.message] })
  }
}

/** What is wrong, by dotted name, in the order in which it was found. */
class Faults {
  readonly #errors: Record<string, string[]> = Object.create(null)

  add(key: string, message: string) {
    this.#errors[key] ??= []
    this.#errors[key].push(message)
  }

  throwIfAny() {
    if (Object.keys(this.#errors).length > 0) throw unprocessable(this.#errors)
  }
}

/** A name as it stands in a sentence. */
const spoken = (key: string) => key.replaceAll('_', ' ')

/** The last part of a dotted name as it stands in a sentence. */
const lastSpoken = (key: string) => spoken(key.slice(key.lastIndexOf('.') + 1))

/** A field by a name that somebody else chose, which may be one that every object has. */
const ownField = ({ fields }: Resource, name: string): Field | undefined =>
  Object.hasOwn(fields, name) ? fields[name] : undefined

function prohibit(key: string, value: Parameter | undefined, faults: Faults) {
  if (value !== undefined && value !== null) faults.add(key, rules.prohibited(key))
}

/** Text that is there, and not too long. */
function readText(
  key: string,
  value: Parameter,
  faults: Faults,
  most: number = VALUE_LIMITS.characters,
): string | undefined {
  if (value === null) faults.add(key, rules.required(spoken(key)))
  else if (typeof value !== 'string') faults.add(key, rules.string(spoken(key)))
  else if (value.length > most) faults.add(key, rules.maxString(spoken(key), most))
  else return value
  return undefined
}

/** A comma-separated list without duplicates, every item of which is accepted. */
function readList(
  key: string,
  value: Parameter,
  accepts: (item: string) => boolean,
  faults: Faults,
  name: string = lastSpoken(key),
): string[] | undefined {
  const text = readText(key, value, faults)
  if (text === undefined) return undefined
  const items = text.split(',')
  if (items.length > VALUE_LIMITS.items) faults.add(key, rules.maxItems(spoken(key), VALUE_LIMITS.items))
  else if (new Set(items).size < items.length) faults.add(key, rules.duplicates)
  else if (!items.every(accepts)) faults.add(key, rules.selected(name))
  else return items
  return undefined
}

/** Parameters by type, all of which the endpoint has. */
function readByType(
  key: string,
  value: Parameter,
  isAllowed: (name: string) => boolean,
  faults: Faults,
): [string, Parameter][] {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : []
  if (entries.length > 0 && entries.every(([name]) => isAllowed(name))) return entries
  faults.add(key, rules.array(spoken(key)))
  return []
}

function readFields({ types }: Rules, value: Parameter | undefined, faults: Faults): Query['fields'] {
  const fields = new Map<string, string[]>()
  if (value === undefined) return fields
  for (const [type, names] of readByType('fields', value, name => types.has(name), faults)) {
    const known = types.get(type)?.fields ?? {}
    const items = readList(`fields.${type}`, names, name => Object.hasOwn(known, name), faults)
    if (items) fields.set(type, items)
  }
  return fields
}

function readInclude(
  { endpoint, paths }: Rules,
  value: Parameter | undefined,
  faults: Faults,
): Query['includes'] {
  if (value === undefined) return new Map()
  if (paths.length === 0) {
    prohibit('include', value, faults)
    return new Map()
  }
  return includeTree(
    endpoint.resource,
    readList('include', value, path => paths.includes(path), faults) ?? [],
  )
}

function readSort(
  { endpoint, types, paths }: Rules,
  value: Parameter | undefined,
  faults: Faults,
): Query['orders'] {
  const orders = new Map<string, Order[]>()
  if (value === undefined) return orders
  const { resource, kind, isSequence = false } = endpoint
  if (isSequence || (kind === 'show' && paths.length === 0)) {
    prohibit('sort', value, faults)
    return orders
  }
  const sortable = (type: Resource, name: string) => {
    const field = ownField(type, name)
    return field !== undefined && isSortable(field)
  }
  if (kind === 'index' && (typeof value === 'string' || value === null)) {
    // A sort without a type orders every type that has a sort of that name.
    for (const order of readOrders('sort', value, name => sortable(resource, name), faults)) {
      for (const [type, other] of types) {
        if (type !== resource.type && (order.field === null || !sortable(other, order.field))) continue
        orders.set(type, [...(orders.get(type) ?? []), order])
      }
    }
    return orders
  }
  const isAllowed = (name: string) => types.has(name) && (kind === 'index' || name !== resource.type)
  for (const [name, text] of readByType('sort', value, isAllowed, faults)) {
    const type = types.get(name)
    if (type)
      orders.set(
        name,
        readOrders(`sort.${name}`, text, field => sortable(type, field), faults),
      )
  }
  return orders
}

function readOrders(
  key: string,
  value: Parameter,
  isSortable: (name: string) => boolean,
  faults: Faults,
): Order[] {
  const accepts = (item: string) => item === 'random' || isSortable(item.replace(/^-/, ''))
  const items = readList(key, value, accepts, faults) ?? []
  if (items.length > 1 && items.includes('random')) faults.add(key, rules.randomAlone(spoken(key)))
  const names = items.map(item => item.replace(/^-/, ''))
  if (new Set(names).size < names.length) faults.add(key, rules.duplicateSort(spoken(key)))
  return items.map((item, index) => ({
    field: item === 'random' ? null : (names[index] ?? ''),
    descending: item.startsWith('-'),
  }))
}

function readSearch({ endpoint }: Rules, value: Parameter | undefined, faults: Faults): Query['search'] {
  if (value === undefined || endpoint.search === 'ignored') return null
  if (endpoint.search === 'prohibited') {
    prohibit('q', value, faults)
    return null
  }
  const text = readText('q', value, faults, VALUE_LIMITS.search)
  if (text?.includes('\0')) faults.add('q', rules.string('q'))
  return text ?? null
}

function readPage({ endpoint }: Rules, value: Parameter | undefined, faults: Faults): Query['page'] {
  const page = { number: 1, size: PAGE_SIZE.standard as number }
  if (value === undefined) return page
  if (endpoint.kind === 'show') {
    prohibit('page', value, faults)
    return page
  }
  for (const [name, text] of readByType('page', value, name => Object.hasOwn(page, name), faults)) {
    const key = `page.${name}`
    if (text === null) {
      faults.add(key, rules.required(key))
      continue
    }
    const integer = typeof text === 'string' ? parseInteger(text) : undefined
    const number = Number(integer)
    if (integer === undefined) faults.add(key, rules.integer(key))
    else if (number < 1) faults.add(key, rules.minNumber(key, 1))
    else if (name === 'size' && number > PAGE_SIZE.most) faults.add(key, rules.maxNumber(key, PAGE_SIZE.most))
    else page[name as 'number' | 'size'] = number
  }
  return page
}

/** What the end of a filter's name says: `name-like-or` is like and or. */
interface Suffix {
  comparison: Comparison | null
  connector: Connector
  negated: boolean
}

/**
 * Reads a filter's name: a field, then perhaps a comparison, then perhaps how it is joined, in that order. Null
 * for a name that no field and no comparison make.
 */
function readFilterName(
  name: string,
  comparisonsOf: (base: string) => readonly Comparison[] | undefined,
  canNegate: boolean,
): { base: string; suffix: Suffix } | null {
  const [base = '', ...rest] = name.split('-')
  const comparisons = comparisonsOf(base)
  if (comparisons === undefined) return null
  const suffix: Suffix = { comparison: null, connector: 'and', negated: false }
  const comparison = COMPARISONS.find(candidate => candidate === rest[0])
  if (comparison !== undefined) {
    if (!comparisons.includes(comparison)) return null
    suffix.comparison = comparison
    rest.shift()
  }
  const [logical, ...beyond] = rest
  if (beyond.length > 0) return null
  if (logical === 'and' || logical === 'or') suffix.connector = logical
  else if (logical === 'not' && canNegate && suffix.comparison === null) suffix.negated = true
  else if (logical !== undefined) return null
  return { base, suffix }
}

const readFieldFilter = (resource: Resource, name: string) =>
  readFilterName(
    name,
    base => {
      const field = ownField(resource, base)
      return field && isFilterable(field) ? COMPARISONS_OF[field.kind] : undefined
    },
    true,
  )

const HAS_COMPARISONS = ['eq', 'ne', 'lt', 'gt', 'lte', 'gte'] as const

const readHasFilter = (name: string) =>
  readFilterName(name, base => (base === 'has' ? HAS_COMPARISONS : undefined), false)

function readFilter(rules: Rules, value: Parameter | undefined, faults: Faults): Query['conditions'] {
  const conditions = new Map<string, Condition[]>()
  if (value === undefined) return conditions
  const { endpoint, types, paths } = rules
  const { resource, kind, isSequence = false } = endpoint
  const isIndex = kind === 'index'
  if (isSequence) {
    prohibit('filter', value, faults)
    return conditions
  }

  /** The types that a filter without a type may be about. */
  const candidates = [...types.values()].filter(type => isIndex || type !== resource)
  const add = (type: string, condition: Condition) =>
    conditions.set(type, [...(conditions.get(type) ?? []), condition])

  const isHas = (name: string) => isIndex && paths.length > 0 && readHasFilter(name) !== null
  const isType = (name: string) => types.has(name) && (isIndex || name !== resource.type)
  const isAllowed = (name: string) =>
    isType(name) || isHas(name) || candidates.some(type => readFieldFilter(type, name) !== null)

  for (const [name, given] of readByType('filter', value, isAllowed, faults)) {
    const key = `filter.${name}`
    if (isType(name)) {
      const type = types.get(name) as Resource
      const isOwn = type === resource
      const isAllowedInType = (inner: string) =>
        (isOwn && isHas(inner)) || readFieldFilter(type, inner) !== null
      for (const [inner, text] of readByType(key, given, isAllowedInType, faults)) {
        const innerKey = `${key}.${inner}`
        if (isOwn && isHas(inner))
          readHas(innerKey, inner, text, paths, faults, condition => add(name, condition))
        else readConditions(innerKey, inner, text, [type], faults, add)
      }
    } else if (isHas(name)) {
      readHas(key, name, given, paths, faults, condition => add(resource.type, condition))
    } else {
      const about = candidates.filter(type => readFieldFilter(type, name) !== null)
      readConditions(key, name, given, about, faults, add, resource)
    }
  }
  const related = (conditions.get(resource.type) ?? []).filter(({ is }) => is === 'related')
  if (related.length > VALUE_LIMITS.relations) {
    faults.add('filter.has', MESSAGES.rules.maxItems('filter.has', VALUE_LIMITS.relations))
  }
  return conditions
}

function readHas(
  key: string,
  name: string,
  value: Parameter,
  paths: readonly string[],
  faults: Faults,
  add: (condition: Condition) => void,
) {
  const suffix = readHasFilter(name)?.suffix
  const items = readList(key, value, path => paths.includes(path), faults, spoken(key))
  if (suffix === undefined || items === undefined) return
  for (const path of items) {
    add({
      is: 'related',
      path: path.split('.'),
      comparison: suffix.comparison ?? 'gte',
      connector: suffix.connector,
    })
  }
}

/**
 * Reads a filter for every type that it is about. What is a value for one of them need not be one for another:
 * it is a fault only if it is none for the endpoint's own type, or for any if that has no such field.
 */
function readConditions(
  key: string,
  name: string,
  value: Parameter,
  about: readonly Resource[],
  faults: Faults,
  add: (type: string, condition: Condition) => void,
  own?: Resource,
) {
  const text = readText(key, value, faults)
  if (text === undefined) return
  const read = about.map(type => ({ type, outcome: readCondition(key, name, text, type) }))
  const judged = about.some(type => type === own) ? read.filter(({ type }) => type === own) : read
  if (judged.every(({ outcome }) => outcome instanceof Fault)) {
    const [first] = judged
    if (first?.outcome instanceof Fault) faults.add(key, first.outcome.message)
    return
  }
  for (const { type, outcome } of read) {
    if (outcome !== null && !(outcome instanceof Fault)) add(type.type, outcome)
  }
}

/** Why a value is none. */
class Fault {
  readonly message: string

  constructor(message: string) {
    this.message = message
  }
}

/** A condition, or null when it would leave nothing out, or what is wrong with it. */
function readCondition(key: string, name: string, text: string, type: Resource): Condition | null | Fault {
  const { base, suffix } = readFieldFilter(type, name) as { base: string; suffix: Suffix }
  const field = type.fields[base] as Field
  const { comparison, connector, negated } = suffix
  if (!text.includes(',') && !negated) {
    const value = parseValue(field, text)
    return value === undefined
      ? new Fault(valueMessage(field.kind, spoken(key)))
      : { is: 'compared', field: base, comparison: comparison ?? 'eq', value, connector }
  }

  // A list is one of the values, or with `ne` none of them; no other comparison means anything with a list.
  if (field.aggregate !== undefined || (comparison !== null && comparison !== 'eq' && comparison !== 'ne')) {
    return new Fault(rules.prohibited(spoken(key)))
  }
  const items = text.split(',')
  if (items.length > VALUE_LIMITS.items) return new Fault(rules.maxItems(spoken(key), VALUE_LIMITS.items))
  if (new Set(items).size < items.length) return new Fault(rules.duplicates)
  const values = items.map(item => (item === '' ? undefined : parseValue(field, item)))
  const present = values.filter(value => value !== undefined)
  if (present.length < values.length) {
    return new Fault(
      items.includes('') ? rules.required(lastSpoken(key)) : valueMessage(field.kind, lastSpoken(key)),
    )
  }
  const members = field.kind === 'boolean' ? 2 : field.labels?.length
  if (members !== undefined && new Set(present).size === members) return null
  return { is: 'listed', field: base, values: present, negated: negated !== (comparison === 'ne'), connector }
}
