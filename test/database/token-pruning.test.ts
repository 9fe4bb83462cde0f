import t, { type Test } from 'tap'
import { DAY } from '../fixtures/clock.ts'
import { addChain, type IssuedToken, issuerOf, startWithTokenOwner } from '../fixtures/tokens.ts'
import { aToken } from '../fixtures/users.ts'
import { get, startApp } from '../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`pruning tokens that issued others, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await testPruning(t, database)
  })
}

async function testPruning(t: Test, database: TestDatabase) {
  const { kysely } = database
  const YESTERDAY = '2026-02-27 00:00:00'
  const expire = (...tokens: IssuedToken[]) =>
    kysely
      .updateTable('personal_access_tokens')
      .set({ expires_at: YESTERDAY })
      .where(
        'id',
        'in',
        tokens.map(({ id }) => id),
      )
      .execute()

  await t.test('an expired token is pruned without the tokens it issued', async t => {
    const { app, root, issue } = await startWithTokenOwner(t, database)
    const child = await issue(root, 'child')
    await expire(root)
    t.equal((await get(app, '/api/me', root.plain)).status, 401)
    t.equal((await get(app, '/api/me', child.plain)).status, 200)
    await app.lastUse.prune()
    t.equal((await get(app, '/api/me', child.plain)).status, 200)
    t.equal(await issuerOf(database, child), null)
  })

  await t.test('children of a pruned token move to the nearest remaining ancestor', async t => {
    const { app, root, request, issue, remaining } = await startWithTokenOwner(t, database)
    const second = await issue(root, 'second')
    const third = await issue(second, 'third')
    const fourth = await issue(third, 'fourth')
    await issue(fourth, 'fifth')
    await expire(second, third)
    await app.lastUse.prune()
    t.strictSame(await remaining(), ['root', 'fourth', 'fifth'])
    t.equal(await issuerOf(database, fourth), root.id)
    t.equal((await request(root, 'DELETE', '/current')).headers['x-revoked-tokens'], '3')
  })

  await t.test('children of a token beyond SANCTUM_EXPIRATION, too', async t => {
    const { app, root, issue } = await startWithTokenOwner(t, database, { SANCTUM_EXPIRATION: '1440' })
    const second = await issue(root, 'second')
    await kysely
      .updateTable('personal_access_tokens')
      .set({ created_at: '2026-02-26 00:00:00' })
      .where('id', '=', root.id)
      .execute()
    await app.lastUse.prune()
    t.equal(await issuerOf(database, second), null)
  })

  await t.test('inherited issuers of a rotated token, too', async t => {
    const { app, root, request, issue, rotate, addToken, remaining } = await startWithTokenOwner(t, database)
    const rotating = await addToken('rotating')
    const middle = await issue(root, 'middle')
    const old = await issue(middle, 'old')
    await rotate(rotating, old)
    await expire(middle, rotating)
    await app.lastUse.prune()
    t.equal((await request(root, 'DELETE', '/current')).headers['x-revoked-tokens'], '2')
    t.strictSame(await remaining(), [])
  })

  await t.test('no token refers to a pruned cycle', async t => {
    const { app, root, issue, rotate, addToken } = await startWithTokenOwner(t, database)
    const child = await issue(root, 'child')
    const below = await issue(child, 'below')
    const successor = await rotate(child, root)
    await expire(child, successor)
    await app.lastUse.prune()
    t.equal(await issuerOf(database, below), null)
    const other = await addToken('other')
    const second = await issue(other, 'second')
    const third = await rotate(second, other)
    await expire(second)
    await app.lastUse.prune()
    t.equal(await issuerOf(database, third), null, 'no token is its own issuer')
  })

  await t.test('a chain longer than a batch is pruned completely', async t => {
    const { app, user, root, addToken, remaining } = await startWithTokenOwner(t, database)
    const last = await addChain(database, user, root, 6000, YESTERDAY)
    const bottom = await addToken('bottom')
    await kysely
      .updateTable('personal_access_tokens')
      .set({ issued_by: last })
      .where('id', '=', bottom.id)
      .execute()
    await app.lastUse.prune()
    t.strictSame(await remaining(), ['root', 'bottom'])
    t.equal(await issuerOf(database, bottom), root.id)
  })

  await t.test('tokens without a user are pruned', async t => {
    const app = await startApp(t, { database })
    const { tokenId } = await aToken(database, 4_711_000, { expiresAt: app.clock() - 2 * DAY })
    await app.lastUse.prune()
    const found = await kysely
      .selectFrom('personal_access_tokens')
      .select('id')
      .where('id', '=', tokenId)
      .execute()
    t.strictSame(found, [])
  })

  await t.test(
    'pruning skips users that are locked',
    { skip: database.source.constructor.name === 'PgliteConnections' },
    async t => {
      const { app, user, root, remaining } = await startWithTokenOwner(t, database)
      await expire(root)
      const holder = await database.source.acquire()
      await holder.query('begin', [])
      await holder.query('select from users where id = $1 for no key update', [user.id])
      await app.lastUse.prune()
      t.strictSame(await remaining(), ['root'], 'the next run prunes it')
      await holder.query('rollback', [])
      await holder.release()
      await app.lastUse.prune()
      t.strictSame(await remaining(), [])
    },
  )
}
