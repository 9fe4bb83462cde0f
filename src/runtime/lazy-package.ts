import { createRequire } from 'node:module'
import { lazy } from './lazy.ts'

const require = createRequire(import.meta.url)

/**
 * Loads a package at the first call, without waiting. For large packages that no start of the server needs; where the
 * caller can wait, `import()` does the same.
 *
 * @param name the package; for `T` use `typeof import('…')`
 */
export const lazyPackage = <T extends object>(name: string): (() => T) => lazy(() => require(name) as T)
