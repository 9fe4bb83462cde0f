import type { IdentityCache } from '#src/auth/identity-cache.ts'
import { type Metrics, single } from './metrics.ts'

/** Publishes the size and hits of the identity cache, and whether changes are followed. */
export function measureIdentityCache(
  { publish }: Pick<Metrics, 'publish'>,
  cache: Pick<IdentityCache, 'tokens' | 'sessions' | 'found'>,
  isFollowing: () => boolean,
): void {
  publish({
    type: 'gauge',
    name: 'identity_cache_following',
    help: 'Whether identities are cached: 0 while their changes cannot be followed.',
    values: () => single(Number(isFollowing())),
  })
  publish({
    type: 'gauge',
    name: 'identity_cache_entries',
    help: 'Cached identities, by kind.',
    label: 'kind',
    values: () => [
      ['token', cache.tokens.size],
      ['session', cache.sessions.size],
    ],
  })
  publish({
    type: 'counter',
    name: 'identity_cache_lookups_total',
    help: 'Lookups of credentials in the cache, by result.',
    label: 'result',
    values: () => [
      ['hit', cache.found.hits],
      ['miss', cache.found.misses],
    ],
  })
}
