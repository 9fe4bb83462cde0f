import { randomUUID } from 'node:crypto'
import fp from 'fastify-plugin'
import { type Bans, createBans } from '#src/accounts/bans.ts'
import { createNotifications, type Notifications } from '#src/accounts/notifications.ts'
import { createRoles, type Roles } from '#src/accounts/roles.ts'
import { createStaffActions, type StaffActions } from '#src/accounts/staff-actions.ts'
import { createUsers, type Users } from '#src/accounts/users.ts'

declare module 'fastify' {
  interface FastifyInstance {
    staffActions: StaffActions
    users: Users
    roles: Roles
    bans: Bans
    notifications: Notifications
  }
}

/** Adds the use-cases of staff: users, roles, bans and notifications. */
export default fp(
  async app => {
    const { config, clock, database, mail } = app
    const { kysely } = database
    const staffActions = createStaffActions({ kysely, config })
    app.decorate('staffActions', staffActions)
    app.decorate('users', createUsers({ kysely, config, clock, staffActions }))
    app.decorate('roles', createRoles({ kysely, config, staffActions }))
    app.decorate('bans', createBans({ kysely, config, clock, staffActions, sendBanMail: mail.sendBan }))
    app.decorate('notifications', createNotifications({ config, clock, uuid: randomUUID, staffActions }))
  },
  { name: 'staff', dependencies: ['authority', 'database', 'events', 'mail'] },
)
