import fp from 'fastify-plugin'
import { measureOverload } from '#src/metrics/overload.ts'
import { throttledLog } from '#src/runtime/throttled-log.ts'

/** Publishes queued and shed requests as metrics, and logs shed ones once a second. */
export default fp(
  async app => {
    const { admission, metrics, schedule, log } = app
    const shedding = throttledLog<undefined>(schedule, {
      first: () => log.warn('requests are shed: the server is overloaded'),
      repeated: (_kind, count) => log.warn({ count }, 'further requests were shed within a second'),
    })
    admission.onShed(() => shedding('shed', undefined))
    measureOverload(metrics, admission)
  },
  { name: 'overload', dependencies: ['metrics'] },
)
