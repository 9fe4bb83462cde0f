/** The floor: what one would write by hand, one prepared SELECT a request and none of the protections. */
import { createHash, timingSafeEqual } from 'node:crypto'
import fastify from 'fastify'
import { pool, ready } from './server.js'

const database = pool()
const app = fastify()
app.get('/api/me', async (request, reply) => {
  const [, id, secret] = /^Bearer (\d+)\|(.+)$/.exec(request.headers.authorization ?? '') ?? []
  if (id === undefined) return reply.code(401).send({ message: 'Unauthenticated.' })
  const { rows } = await database.query({
    name: 'me',
    text: `select t.token, u.id, u.name, u.email, u.email_verified_at, u.two_factor_confirmed_at
      from personal_access_tokens t join users u on u.id = t.tokenable_id
      where t.id = $1 and (t.expires_at is null or t.expires_at > now())`,
    values: [id],
  })
  const digest = createHash('sha256').update(secret).digest('hex')
  if (rows.length === 0 || !timingSafeEqual(Buffer.from(rows[0].token), Buffer.from(digest))) {
    return reply.code(401).send({ message: 'Unauthenticated.' })
  }
  const { token, ...user } = rows[0]
  return { user }
})
await app.listen({ port: 0, host: '127.0.0.1' })
ready(app.server.address().port)
