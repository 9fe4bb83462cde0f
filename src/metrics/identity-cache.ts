import { Counter, Gauge, type Registry } from 'prom-client'
import type { IdentityCache } from '#src/auth/identity-cache.ts'

/** Publishes what is remembered of identities, and whether changes of them are followed. */
export function measureIdentityCache(
  registry: Registry,
  cache: Pick<IdentityCache, 'tokens' | 'sessions' | 'found'>,
  isFollowing: () => boolean,
): void {
  const registers = [registry]
  new Gauge({
    name: 'identity_cache_following',
    help: 'Whether identities are remembered: 0 while changes of them cannot be followed.',
    registers,
    collect() {
      this.set(Number(isFollowing()))
    },
  })
  new Gauge({
    name: 'identity_cache_entries',
    help: 'Identities that are remembered, by kind.',
    labelNames: ['kind'],
    registers,
    collect() {
      this.set({ kind: 'token' }, cache.tokens.size)
      this.set({ kind: 'session' }, cache.sessions.size)
    },
  })
  new Counter({
    name: 'identity_cache_lookups_total',
    help: 'Credentials that were looked for among what is remembered, by whether they were found.',
    labelNames: ['result'],
    registers,
    collect() {
      this.reset()
      this.inc({ result: 'hit' }, cache.found.hits)
      this.inc({ result: 'miss' }, cache.found.misses)
    },
  })
}
