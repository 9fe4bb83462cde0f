import fp from 'fastify-plugin'
import { Redis } from 'ioredis'
import { type Counters, memoryCounters, redisCounters } from '../src/limits/counters.ts'

declare module 'fastify' {
  interface FastifyInstance {
    counters: Counters
  }
}

/** Adds `app.counters`, what the limits count with: in Redis if REDIS_URL is set, in memory otherwise. */
export default fp(
  async app => {
    const { redisUrl } = app.config
    if (redisUrl === null) {
      app.decorate('counters', memoryCounters(app.clock))
      return
    }
    const redis = new Redis(redisUrl, {
      lazyConnect: true,
      maxRetriesPerRequest: 1,
      enableOfflineQueue: false,
      connectTimeout: 500,
      commandTimeout: 500,
    })
    // Without a listener the process would end; what matters of it is heard through the counters.
    redis.on('error', error => app.log.debug({ err: error }, 'redis connection'))
    app.decorate(
      'counters',
      redisCounters(redis, app.clock, error => {
        if (error === null) app.log.info('redis answers again: limits are shared by all instances')
        else app.log.warn({ err: error }, 'redis does not answer: limits go on in each process by itself')
      }),
    )
    app.addHook('onReady', async () => {
      await redis.connect().catch(error => app.log.debug({ err: error }, 'redis connection'))
    })
    app.addHook('onClose', async () => redis.disconnect())
  },
  { name: 'counters', dependencies: ['errors'] },
)
