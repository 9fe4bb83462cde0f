import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Counter, Gauge } from 'prom-client'
import { type IdentityCache, identityCache } from '#src/auth/identity-cache.ts'
import { type Identities, identities } from '#src/database/identities.ts'
import { followIdentityChanges } from '#src/database/identity-changes.ts'
import { isMigrated } from '#src/database/migrate.ts'
import { type Readiness, readiness } from '#src/database/readiness.ts'
import { noteChangeStep, settleChangesStep } from '#src/http/steps/settle-changes.ts'

declare module 'fastify' {
  interface FastifyInstance {
    identities: Identities
    /** Whether the database answers and is migrated, as of the last second. */
    readiness: Readiness
  }
  interface FastifyRequest {
    /** Whether a handler was called that may change something. */
    mayHaveChanged: boolean
  }
}

/**
 * Adds `app.identities` and `app.readiness`, and closes the database when the app closes, after everything that still writes to it.
 */
export default fp(
  async app => {
    const { config, database, clock, monotonic } = app
    const cache = config.identityCache ? identityCache({ clock, monotonic }) : null
    app.decorate('identities', identities(database, config.tokenableTypes, clock, cache))
    const isMigratedNow = isMigrated(database)
    app.decorate('readiness', readiness(isMigratedNow, app.monotonic))
    const endWatch = database.onLost(() => app.readiness.forget())
    app.addHook('onClose', async () => {
      endWatch()
      await database.close()
    })
    if (cache !== null) keepCurrent(app, cache)
  },
  { name: 'database', dependencies: ['metrics', 'steps'] },
)

/** Has the cache follow the database's changes, those of our own requests before they are answered. */
function keepCurrent(app: FastifyInstance, cache: IdentityCache) {
  const { database, monotonic, log } = app
  /** Null before the first try. */
  let isFollowing: boolean | null = null
  let changes: ReturnType<typeof followIdentityChanges> | undefined

  app.addHook('onReady', async () => {
    changes = followIdentityChanges(database, cache, monotonic, {
      following() {
        isFollowing = true
        log.info('identities are remembered')
      },
      interrupted(error) {
        if (isFollowing !== false) {
          log.warn({ err: error }, 'identities are not remembered, since changes of them cannot be followed')
        }
        isFollowing = false
        app.readiness.forget()
        app.noteOutage(error)
      },
    })
  })
  app.addHook('onClose', () => changes?.close())

  app.decorateRequest('mayHaveChanged', false)
  app.addStep('preHandler', noteChangeStep)
  app.addStep(
    'onSend',
    settleChangesStep(async () => changes?.settle()),
  )

  const registers = [app.metrics.registry]
  new Gauge({
    name: 'identity_cache_following',
    help: 'Whether identities are remembered: 0 while changes of them cannot be followed.',
    registers,
    collect() {
      this.set(Number(isFollowing === true))
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
