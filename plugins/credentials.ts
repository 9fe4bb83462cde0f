import fp from 'fastify-plugin'
import { createCredentials, type PasswordCredentials } from '#src/accounts/credentials.ts'
import { createHashWorkers } from '#src/auth/hash-workers.ts'
import type { PasswordWork } from '#src/auth/password.ts'

declare module 'fastify' {
  interface FastifyInstance {
    credentials: PasswordCredentials
  }
}

/** Adds `app.credentials`, which hashes passwords on worker threads. */
export default fp(
  async app => {
    const { config, attempts, schedule, monotonic, metrics } = app
    const workers = app.passwordWork === null ? createHashWorkers() : null
    app.addHook('onClose', () => workers?.close())
    const credentials = createCredentials({
      config,
      kysely: app.database.logins,
      attempts,
      work: (workers ?? app.passwordWork) as PasswordWork,
      schedule,
      monotonic,
      onRefusal: metrics.countPasswordRefusal,
    })
    app.decorate('credentials', credentials)
    metrics.publish({
      type: 'gauge',
      name: 'passwords_waiting',
      help: 'Requests that wait for a password to be verified or hashed, by lane.',
      label: 'lane',
      values: () => (['known', 'stranger'] as const).map(lane => [lane, credentials.waiting(lane)]),
    })
  },
  { name: 'credentials', dependencies: ['attempts', 'metrics'] },
)
