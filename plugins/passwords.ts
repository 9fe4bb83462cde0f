import fp from 'fastify-plugin'
import { createPasswordResets, type PasswordResets } from '#src/accounts/password-resets.ts'
import { createPasswords, type Passwords } from '#src/accounts/passwords.ts'

declare module 'fastify' {
  interface FastifyInstance {
    passwords: Passwords
    passwordResets: PasswordResets
  }
}

/** Adds `app.passwords` and `app.passwordResets`. */
export default fp(
  async app => {
    const { config, database, clock, random, sessions, attempts, credentials, mail, screening } = app
    app.decorate('passwords', createPasswords({ config, clock, sessions, credentials, screening }))
    app.decorate(
      'passwordResets',
      createPasswordResets({
        config,
        kysely: database.kysely,
        clock,
        random,
        attempts,
        credentials,
        mail,
        screening,
      }),
    )
  },
  {
    name: 'passwords',
    dependencies: ['attempts', 'authority', 'credentials', 'database', 'mail', 'screening', 'sessions'],
  },
)
