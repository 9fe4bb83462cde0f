import { type Parameters, QueryTooLarge, queryStringOf } from '#src/input/querystring.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { readFields, readInclude } from './parse/fields.ts'
import { readFilter } from './parse/filter.ts'
import { readPage, readSearch } from './parse/page.ts'
import { ParameterErrors } from './parse/parameter.ts'
import { readParameters } from './parse/parameters.ts'
import { readSort } from './parse/sort.ts'
import type { Query } from './query.ts'
import { type Endpoint, endpointTypes, includePaths } from './resource.ts'

/**
 * Makes the parser of an endpoint's query strings. It throws a 422 with every error, by the parameter's dotted name;
 * unknown parameters are ignored.
 */
export function queryParser(endpoint: Endpoint): (url: string) => Query {
  const rules = { endpoint, types: endpointTypes(endpoint), paths: includePaths(endpoint) }
  const read = (text: string): Query => {
    const parameters = parseParameters(text)
    const errors = new ParameterErrors()
    const query = {
      fields: readFields(rules, parameters.fields, errors),
      conditions: readFilter(rules, parameters.filter, errors),
      includes: readInclude(rules, parameters.include, errors),
      page: readPage(rules, parameters.page, errors),
      orders: readSort(rules, parameters.sort, errors),
      search: readSearch(rules, parameters.q, errors),
    }
    errors.throwIfAny()
    return query
  }

  let plain: Query | undefined
  return url => {
    const search = queryStringOf(url)
    if (search !== '') return read(search)
    plain ??= read('')
    return plain
  }
}

function parseParameters(text: string): Parameters {
  try {
    return readParameters(text)
  } catch (error) {
    if (!(error instanceof QueryTooLarge)) throw error
    throw unprocessable({ query: [error.message] })
  }
}
