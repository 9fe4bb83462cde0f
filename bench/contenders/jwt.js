/** A token that nobody can revoke: @fastify/jwt, with the headers, the CORS and the limits that ours has. */
import cors from '@fastify/cors'
import jwt from '@fastify/jwt'
import rateLimit from '@fastify/rate-limit'
import fastify from 'fastify'
import { HEADERS, ready } from './server.js'

const isDressed = process.env.BENCH_DRESSED === '1'

const app = fastify({ logger: isDressed ? { level: 'error' } : false })
await app.register(jwt, { secret: 'a secret of the benchmark, and of nobody else' })
if (isDressed) {
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(HEADERS)
  })
  await app.register(cors, { origin: ['http://localhost:3000'], credentials: true })
}
app.addHook('onRequest', async request => {
  if (request.url === '/api/me') await request.jwtVerify()
})
if (isDressed) {
  await app.register(rateLimit, {
    max: 90,
    timeWindow: 60_000,
    allowList: request => request.user?.bypass === true,
  })
}
app.get('/api/me', async ({ user: { iat, bypass, ...user } }) => ({ user }))
await app.listen({ port: 0, host: '127.0.0.1' })
const tokens = Array.from({ length: 1000 }, (_, id) =>
  app.jwt.sign({
    id,
    name: `user${id}`,
    email: `user${id}@example.org`,
    email_verified_at: null,
    two_factor_confirmed_at: null,
    bypass: true,
  }),
)
process.stdout.write(`TOKENS ${JSON.stringify(tokens)}\n`)
ready(app.server.address().port)
