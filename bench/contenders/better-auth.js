/** better-auth on Fastify: a session behind the bearer plugin, or a key of the API key plugin. */
import { apiKey } from '@better-auth/api-key'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { bearer } from 'better-auth/plugins'
import fastify from 'fastify'
import { pool, ready } from './server.js'

const USERS = 50
const kind = process.env.BENCH_CREDENTIAL
const auth = betterAuth({
  secret: 'a secret of the benchmark, and of nobody else',
  baseURL: 'http://127.0.0.1',
  database: pool(),
  emailAndPassword: { enabled: true, password: { hash: async text => text, verify: async () => true } },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  plugins: [bearer(), apiKey({ rateLimit: { enabled: false } })],
})
const { runMigrations } = await getMigrations(auth.options)
await runMigrations()

const tokens = []
for (let n = 0; n < USERS; n++) {
  const email = `${kind}-${process.pid}-${n}@example.org`
  const { token, user } = await auth.api.signUpEmail({
    body: { email, name: `user${n}`, password: 'password' },
  })
  if (kind === 'session') tokens.push(token)
  else tokens.push((await auth.api.createApiKey({ body: { userId: user.id } })).key)
}

const app = fastify()
app.get('/api/me', async (request, reply) => {
  const { authorization = '' } = request.headers
  if (kind === 'session') {
    const session = await auth.api.getSession({ headers: new Headers({ authorization }) })
    return session === null ? reply.code(401).send({}) : { user: session.user }
  }
  const { valid, key } = await auth.api.verifyApiKey({ body: { key: authorization.slice('Bearer '.length) } })
  return valid ? { user: { id: key.referenceId ?? key.userId } } : reply.code(401).send({})
})
await app.listen({ port: 0, host: '127.0.0.1' })
process.stdout.write(`TOKENS ${JSON.stringify(tokens)}\n`)
ready(app.server.address().port)
