/** Express with passport-http-bearer, which looks each token up. */
import { createHash } from 'node:crypto'
import express from 'express'
import passport from 'passport'
import { Strategy } from 'passport-http-bearer'
import { pool, ready } from './server.js'

const database = pool()
passport.use(
  new Strategy((token, done) => {
    const [, id, secret] = /^(\d+)\|(.+)$/.exec(token) ?? []
    if (id === undefined) return done(null, false)
    database
      .query({
        name: 'me',
        text: `select t.token, u.id, u.name, u.email, u.email_verified_at, u.two_factor_confirmed_at
          from personal_access_tokens t join users u on u.id = t.tokenable_id where t.id = $1`,
        values: [id],
      })
      .then(({ rows: [row] }) => {
        const digest = createHash('sha256').update(secret).digest('hex')
        if (row === undefined || row.token !== digest) return done(null, false)
        const { token, ...user } = row
        done(null, user)
      }, done)
  }),
)
const app = express()
app.get('/api/me', passport.authenticate('bearer', { session: false }), (request, response) => {
  response.json({ user: request.user })
})
const server = app.listen(0, '127.0.0.1', () => ready(server.address().port))
