import type { RouteOptions } from 'fastify'
import { accessResponses } from '#src/api/access-responses.ts'
import { withLimitHeaders } from '#src/api/responses.ts'
import { isSafe } from '#src/auth/safe-methods.ts'
import type { Config } from '#src/config/config.ts'
import { BODY_LIMIT_BYTES } from '#src/responses/errors.ts'
import { isHealthCheck } from './request.ts'

/** Returns the response schemas of a route: its own, and those that follow from its access, area and input. */
export function documentedResponses(
  { method, url, schema, config = {}, bodyLimit = BODY_LIMIT_BYTES }: RouteOptions,
  { csrfMode }: Pick<Config, 'csrfMode'>,
): Record<string, object> {
  const { access, isApi = false, isWeb = false, endpoint } = config
  const own = (schema?.response ?? {}) as Record<string, { headers?: object }>
  if (access === undefined) return own
  const hasBody = schema?.body !== undefined
  return {
    ...accessResponses({
      access,
      isApi,
      isWeb,
      isWrite: [method].flat().some(each => !isSafe(each)),
      hasInput: endpoint !== undefined || hasBody || schema?.querystring !== undefined,
      hasBody,
      bodyLimit,
      isRateLimited: !isHealthCheck(url),
      csrfMode,
    }),
    ...(isApi || isWeb ? withLimitHeaders(own) : own),
  }
}
