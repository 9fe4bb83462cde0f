import fp from 'fastify-plugin'
import { followIdentityChanges } from '#src/database/identity-changes.ts'
import { noteChangeStep, settleChangesStep } from '#src/http/steps/cache-invalidation.ts'
import { measureIdentityCache } from '#src/metrics/identity-cache.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether a handler was called that may change something. */
    mayHaveChanged: boolean
  }
}

/** Has the cache of identities follow the database's changes, those of our own requests before they are answered. */
export default fp(
  async app => {
    const { database, monotonic, log, identityCache: cache } = app
    if (cache === null) return
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
            log.warn(
              { err: error },
              'identities are not remembered, since changes of them cannot be followed',
            )
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
    measureIdentityCache(app.metrics.registry, cache, () => isFollowing === true)
  },
  { name: 'identity-changes', dependencies: ['database', 'metrics', 'steps'] },
)
