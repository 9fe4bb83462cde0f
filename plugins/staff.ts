import { randomUUID } from 'node:crypto'
import fp from 'fastify-plugin'
import { type Bans, createBans } from '#src/accounts/bans.ts'
import { createNotifications, type Notifications } from '#src/accounts/notifications.ts'
import { createRoles, type Roles } from '#src/accounts/roles.ts'
import { createStaffActions, type StaffActions } from '#src/accounts/staff-actions.ts'
import { createUsers, type Users } from '#src/accounts/users.ts'

declare module 'fastify' {
  interface FastifyInstance {
    subjects: StaffActions
    users: Users
    roles: Roles
    bans: Bans
    notifications: Notifications
  }
}

/** Adds what staff do to users and roles. */
export default fp(
  async app => {
    const { config, clock, database, mail } = app
    const { kysely } = database
    const subjects = createStaffActions({ kysely, config })
    app.decorate('subjects', subjects)
    app.decorate('users', createUsers({ kysely, config, clock, subjects }))
    app.decorate('roles', createRoles({ kysely, config, subjects }))
    app.decorate('bans', createBans({ kysely, config, clock, subjects, tellBanned: mail.sendBan }))
    app.decorate('notifications', createNotifications({ config, clock, uuid: randomUUID, subjects }))
  },
  { name: 'staff', dependencies: ['authority', 'database', 'events', 'mail'] },
)
