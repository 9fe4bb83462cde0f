import type { Config } from '#src/config/config.ts'
import { PANEL_PATH, SYSTEM_PATHS } from '#src/config/paths.ts'
import { pathOf } from '../request.ts'
import type { Step } from '../step.ts'

const isUnder = (path: string, prefix: string) => path === prefix || path.startsWith(`${prefix}/`)

/** Sets `request.isApi` and `request.isPanel`: from the route, or from the path for requests without a route. */
export function areaStep({ apiPath, authPath }: Pick<Config, 'apiPath' | 'authPath'>): Step {
  const others = apiPath === '' ? [...SYSTEM_PATHS, ...(authPath === '' ? [] : [authPath])] : []
  const isApiPath = (path: string) => isUnder(path, apiPath) && !others.some(other => isUnder(path, other))
  return {
    run(request) {
      const { isApi, isPanel } = request.routeConfig
      if (request.is404) {
        const path = pathOf(request.url)
        request.isApi = isApiPath(path)
        request.isPanel = isUnder(path, PANEL_PATH)
      } else {
        request.isApi = isApi === true
        request.isPanel = isPanel === true
      }
    },
  }
}
