import fp from 'fastify-plugin'
import { isPreflight } from './cors.ts'

/** Answers preflights, to which the CORS headers are the whole answer: once they are counted, before anything else. */
export default fp(
  async app => {
    app.addHook('onRequest', (request, reply, done) => {
      if (isPreflight(request)) reply.code(204).send()
      else done()
    })
  },
  { name: 'preflight', dependencies: ['ceiling', 'cors'] },
)
