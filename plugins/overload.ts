import fp from 'fastify-plugin'
import { measureOverload } from '#src/metrics/overload.ts'
import { countedLog } from '#src/runtime/counted-log.ts'

/** Publishes how many requests wait to be begun and how many were shed, and logs the latter once a second. */
export default fp(
  async app => {
    const { admission, metrics, schedule, log } = app
    const shedding = countedLog<undefined>(schedule, {
      first: () => log.warn('requests are shed: more come in than can be answered'),
      further: (_kind, count) => log.warn({ count }, 'requests were shed within a second'),
    })
    admission.onShed(() => shedding('shed', undefined))
    measureOverload(metrics.registry, admission)
  },
  { name: 'overload', dependencies: ['metrics'] },
)
