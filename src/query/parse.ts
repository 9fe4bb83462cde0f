import { type Parameters, parseQueryString, QueryTooLarge, searchOf } from '#src/input/querystring.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { readFields, readInclude } from './parse/fields.ts'
import { readFilter } from './parse/filter.ts'
import { readPage, readSearch } from './parse/page.ts'
import { Faults } from './parse/parameter.ts'
import { readSort } from './parse/sort.ts'
import type { Query } from './query.ts'
import { type Endpoint, endpointTypes, includePaths } from './resource.ts'

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
