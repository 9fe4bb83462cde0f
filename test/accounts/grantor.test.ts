import { randomBytes } from 'node:crypto'
import t from 'tap'
import { createEvents } from '#src/accounts/events.ts'
import { createOperator, type Grantor } from '#src/accounts/grantor.ts'
import { createNotifications } from '#src/accounts/notifications.ts'
import { createStaffActions } from '#src/accounts/staff-actions.ts'
import { createTokens } from '#src/accounts/tokens.ts'
import type { AccountEvent } from '#src/auth/events.ts'
import type { SessionIdentity } from '#src/auth/identity.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { NOW } from '../fixtures/clock.ts'
import { aUser, USER_TYPE } from '../fixtures/users.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../support/databases.ts'

const CONFIG = {
  tokenableTypes: [USER_TYPE] as const,
  tokenAbilities: true,
  tokenPrefix: '',
  tokensPerUser: 1,
}

/** The services of one process, and the events that they record. */
function createServices({ kysely }: TestDatabase) {
  const recorded: AccountEvent[] = []
  const clock = () => NOW
  const events = createEvents({
    async store(written) {
      recorded.push(...written)
    },
    onFailure: error => t.fail(error.message),
    clock,
    schedule: () => () => {},
  })
  const subjects = createStaffActions({ kysely, config: CONFIG })
  return {
    recorded,
    events,
    operator: createOperator({ kysely, events }),
    tokens: createTokens({ kysely, config: CONFIG, clock, random: randomBytes }),
    notifications: createNotifications({
      config: CONFIG,
      clock,
      uuid: () => crypto.randomUUID(),
      staffActions: subjects,
    }),
  }
}

/** A caller with fixed permissions that no concurrent change revokes. */
function staffMember({ kysely }: TestDatabase, id: number, permissions: string[]) {
  const records: unknown[] = []
  const identity = {
    via: 'session',
    user: { id, emailVerifiedAt: '2026-01-01 00:00:00' },
    permissions: new Set(permissions),
    prohibitions: new Set(),
  } as unknown as SessionIdentity
  const grantor: Grantor = {
    authorized: write => kysely.transaction().execute(transaction => write(transaction, identity)),
    record: (event, details) => records.push([event, details]),
  }
  return { grantor, records }
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`services called by requests and by operators on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const services = createServices(database)
    const { tokens, operator, notifications } = services

    await t.test('the token quota applies to users but not to operators', async t => {
      const user = await aUser(database)
      const { grantor } = staffMember(database, user.id, [])
      await t.rejects(tokens.issue(grantor, { name: 'second' }), { message: MESSAGES.tooManyTokens(1) })
      const { id } = await tokens.issue(operator.actAs(user.id), { name: 'second' })
      t.ok(id > user.tokenId)
    })

    await t.test('an operator acting for a user cannot rotate a token of another user', async t => {
      const [user, other] = [await aUser(database), await aUser(database)]
      const rotated = tokens.rotate(operator.actAs(user.id), other.tokenId, 0)
      await t.rejects(rotated, { message: MESSAGES.notFound })
    })

    await t.test('rank applies to staff but not to operators', async t => {
      const subject = await aUser(database, { permissions: ['view dump'] })
      const message = { type: 'App\\Notifications\\MessageNotification', data: '{"text":"x"}' }
      const low = staffMember(database, 1_000_000, ['update user'])
      await t.rejects(notifications.send(low.grantor, subject.id, message), { message: MESSAGES.outranked })
      const own = staffMember(database, subject.id, ['view dump'])
      await t.rejects(notifications.send(own.grantor, subject.id, message), {
        message: MESSAGES.notToYourself,
      })
      t.strictSame([low.records, own.records], [[], []])

      const equal = staffMember(database, 1_000_000, ['view dump'])
      await notifications.send(equal.grantor, subject.id, message)
      t.strictSame(equal.records, [['notified', { userId: subject.id, by: 1_000_000, type: message.type }]])
      await notifications.send(operator.actAs(subject.id), subject.id, message)
      await services.events.drain()
      const last = services.recorded.at(-1)
      t.strictSame(last?.details, { type: message.type, by: 'command line' })
    })
  })
}
