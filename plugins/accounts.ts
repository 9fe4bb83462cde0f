import fp from 'fastify-plugin'
import { type Accounts, createAccounts } from '#src/accounts/accounts.ts'
import { createEmail, type Email } from '#src/accounts/email.ts'
import { createProfile, type Profile } from '#src/accounts/profile.ts'
import { createRegistration, type Registration } from '#src/accounts/registration.ts'

declare module 'fastify' {
  interface FastifyInstance {
    registration: Registration
    profile: Profile
    email: Email
    accounts: Accounts
  }
}

/** Adds the use-cases of accounts: registration, profile, e-mail address and deletion. */
export default fp(
  async app => {
    const { config, clock, random, attempts, credentials, login, mail, screening } = app
    const { sessions, devices, openedLinks } = app
    const { kysely } = app.database
    const shared = { config, kysely, clock, random, attempts, mail }
    const email = createEmail({ ...shared, openedLinks, screening })
    app.decorate('email', email)
    app.decorate('profile', createProfile({ config, clock, attempts, email, mail, screening }))
    app.decorate('registration', createRegistration({ ...shared, credentials, login, screening }))
    app.decorate('accounts', createAccounts({ ...shared, sessions, devices }))
  },
  {
    name: 'accounts',
    dependencies: ['after-response', 'authority', 'login', 'mail', 'screening', 'sessions'],
  },
)
