import fp from 'fastify-plugin'
import { createPasswordResets, type PasswordResets } from '#src/accounts/password-resets.ts'
import { createPasswords, type Passwords } from '#src/accounts/passwords.ts'

declare module 'fastify' {
  interface FastifyInstance {
    passwords: Passwords
    passwordResets: PasswordResets
  }
}

/** Adds `app.passwords` and `app.passwordResets`, and confirms passwords that forms bring along. */
export default fp(
  async app => {
    const { config, database, clock, random, sessions, attempts, credentials, mail, screening } = app
    const passwords = createPasswords({ config, clock, sessions, credentials, screening })
    app.decorate('passwords', passwords)
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

    // What a form brings along instead of a confirmation comes before anything else that it asks for.
    app.addStep('preHandler', {
      appliesTo: route => route?.config.access?.password === 'confirmed or entered',
      run(request) {
        if (!request.owesPassword()) return
        const { current_password: password } = (request.body ?? {}) as { current_password?: string | null }
        return passwords.confirm(request, password, 'current_password')
      },
    })
  },
  {
    name: 'passwords',
    dependencies: [
      'after-answer',
      'authority',
      'credentials',
      'events',
      'mail',
      'screening',
      'sent-once',
      'sessions',
      'steps',
    ],
  },
)
