/**
 * The budget: Fastify with what every request to this server needs at least. The same response headers, a request id, the
 * digest of the token, a map of known tokens, and as many empty hooks as a server with plugins has. No limits, permissions,
 * sessions, log or metrics.
 */
import { hash, randomUUID } from 'node:crypto'
import fastify from 'fastify'
import { HEADERS, pool, ready } from './server.js'

const database = pool()
const { rows } = await database.query(
  `select t.id as token_id, t.token, u.id, u.name, u.email, u.email_verified_at, u.two_factor_confirmed_at
  from personal_access_tokens t join users u on u.id = t.tokenable_id`,
)
await database.end()
const users = new Map(rows.map(({ token_id, token, ...user }) => [`${token_id}|${token}`, user]))

const app = fastify({ genReqId: () => randomUUID() })
app.addHook('onRequest', (request, reply, done) => {
  reply.headers(HEADERS).header('vary', 'Origin').header('x-request-id', request.id)
  done()
})
for (let n = 0; n < 12; n++) app.addHook('onRequest', (_request, _reply, done) => done())
for (let n = 0; n < 2; n++) app.addHook('preHandler', (_request, _reply, done) => done())
for (let n = 0; n < 3; n++) app.addHook('onSend', (_request, _reply, _payload, done) => done())
app.addHook('onResponse', (_request, _reply, done) => done())
app.get('/api/me', (request, reply) => {
  const [, id, secret = ''] = /^Bearer (\d+)\|(.+)$/.exec(request.headers.authorization ?? '') ?? []
  const user = users.get(`${id}|${hash('sha256', secret)}`)
  if (user === undefined) return reply.code(401).send({ message: 'Unauthenticated.' })
  return reply.send({ user })
})
await app.listen({ port: 0, host: '127.0.0.1' })
ready(app.server.address().port)
