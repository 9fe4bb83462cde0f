import fp from 'fastify-plugin'
import { followIdentityChanges } from '#src/database/identity-changes.ts'
import { awaitInvalidationStep, markChangeStep } from '#src/http/steps/cache-invalidation.ts'
import { measureIdentityCache } from '#src/metrics/identity-cache.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether the handler may have changed something. */
    mayHaveChanged: boolean
  }
}

/** Invalidates the identity cache on changes in the database, for writes of this server before their responses. */
export default fp(
  async app => {
    const { database, monotonic, log, identityCache: cache } = app
    if (cache === null) return
    /** Null before the first attempt. */
    let isFollowing: boolean | null = null
    let changes: ReturnType<typeof followIdentityChanges> | undefined
    app.addHook('onReady', async () => {
      changes = followIdentityChanges(database, cache, monotonic, {
        connected() {
          isFollowing = true
          log.info('the identity cache is on')
        },
        interrupted(error) {
          if (isFollowing !== false) {
            log.warn({ err: error }, 'the identity cache is off: changes in the database cannot be followed')
          }
          isFollowing = false
          app.readiness.forget()
          app.noteOutage(error)
        },
      })
    })
    app.addHook('onClose', () => changes?.close())
    app.addStep('preHandler', markChangeStep)
    app.addStep(
      'onSend',
      awaitInvalidationStep(async () => changes?.settle()),
    )
    measureIdentityCache(app.metrics, cache, () => isFollowing === true)
  },
  { name: 'identity-changes', dependencies: ['database', 'metrics', 'steps'] },
)
