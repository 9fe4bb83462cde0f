/** The ceiling: Fastify that answers, and does nothing else. */
import fastify from 'fastify'
import { ready } from './server.js'

const app = fastify()
app.get('/api/me', async () => ({
  user: {
    id: 1,
    name: 'user',
    email: 'user@example.org',
    email_verified_at: null,
    two_factor_confirmed_at: null,
  },
}))
await app.listen({ port: 0, host: '127.0.0.1' })
ready(app.server.address().port)
