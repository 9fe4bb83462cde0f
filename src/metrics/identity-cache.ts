import { Counter, Gauge, type Registry } from 'prom-client'
import type { IdentityCache } from '#src/auth/identity-cache.ts'

/** Publishes the size and hits of the identity cache, and whether changes are followed. */
export function measureIdentityCache(
  registry: Registry,
  cache: Pick<IdentityCache, 'tokens' | 'sessions' | 'found'>,
  isFollowing: () => boolean,
): void {
  const registers = [registry]
  new Gauge({
    name: 'identity_cache_following',
    help: 'Whether identities are cached: 0 while their changes cannot be followed.',
    registers,
    collect() {
      this.set(Number(isFollowing()))
    },
  })
  new Gauge({
    name: 'identity_cache_entries',
    help: 'Cached identities, by kind.',
    labelNames: ['kind'],
    registers,
    collect() {
      this.set({ kind: 'token' }, cache.tokens.size)
      this.set({ kind: 'session' }, cache.sessions.size)
    },
  })
  new Counter({
    name: 'identity_cache_lookups_total',
    help: 'Lookups of credentials in the cache, by result.',
    labelNames: ['result'],
    registers,
    collect() {
      this.reset()
      this.inc({ result: 'hit' }, cache.found.hits)
      this.inc({ result: 'miss' }, cache.found.misses)
    },
  })
}
