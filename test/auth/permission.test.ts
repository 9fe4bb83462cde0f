import t from 'tap'
import { findRefusal, PERMISSIONS, ROLES } from '#src/auth/permission.ts'

const role = (name: string) => new Set(ROLES.find(candidate => candidate.name === name)?.permissions)

t.test('the list of permissions', async t => {
  t.equal(new Set(PERMISSIONS).size, PERMISSIONS.length, 'no duplicates')
  // 14 models with four verbs, permission 1, prohibition 2, user and 16 wiki models with six, 8 special ones.
  t.equal(PERMISSIONS.length, 14 * 4 + 1 + 2 + 17 * 6 + 8)
  for (const name of [
    'view playlist',
    'delete external profile',
    'restore video script',
    'force delete user',
    'view permission',
    'update prohibition',
    'bypass api rate limiter',
  ]) {
    t.ok(PERMISSIONS.includes(name), name)
  }
  for (const name of ['create permission', 'delete prohibition', 'restore playlist', 'force delete role']) {
    t.notOk(PERMISSIONS.includes(name), `no ${name}`)
  }
})

t.test('the list of roles', async t => {
  t.strictSame(
    ROLES.map(({ name, color, priority, default: isDefault }) => [name, color, priority, isDefault]),
    [
      ['Admin', '#1F8B4C', 250000, false],
      ['Encoder', '#FFC107', 150000, false],
      ['Developer', '#FF69B4', 125000, false],
      ['Content Moderator', '#2E5A88', 100000, false],
      ['Patron', '#E74C3C', 75000, false],
      ['Contributor', '#052C41', 50000, false],
      ['Panel Viewer', '#2596D1', 25000, false],
      ['Verified', null, 0, true],
    ],
  )
  for (const { name, permissions } of ROLES) {
    t.equal(new Set(permissions).size, permissions.length, `${name} has each permission once`)
    t.ok(
      permissions.every(permission => PERMISSIONS.includes(permission)),
      `${name} has known permissions only`,
    )
    t.notOk(permissions.includes('bypass authorization'), `${name} cannot bypass authorization`)
    t.ok(permissions.includes('update playlist track'), `${name} has the base set`)
  }
  t.equal(role('Verified').size, 25)
  t.notOk(role('Verified').has('create external entry'))
  t.notOk(role('Verified').has('view filament'))
  t.ok(role('Patron').has('bypass feature flags'))
  t.notOk(role('Developer').has('bypass feature flags'))
  t.ok(role('Developer').has('view anime') && !role('Developer').has('update anime'))
  t.ok(role('Encoder').has('restore video') && !role('Encoder').has('force delete video'))
  t.ok(role('Content Moderator').has('update video') && !role('Content Moderator').has('create video'))
  t.ok(
    role('Content Moderator').has('view video script') &&
      !role('Content Moderator').has('update video script'),
  )
  t.ok(role('Content Moderator').has('delete anime'))
  t.ok(role('Admin').has('create submission') && role('Admin').has('force delete anime'))
  t.notOk(role('Admin').has('create feature'))
  t.equal(role('Admin').size, 8 * 4 + 5 * 4 + 2 * 2 + 1 + 17 * 6 + 7)
})

t.test('permissions, prohibitions and bypass authorization decide whether an action is allowed', async t => {
  const holder = (permissions: string[], prohibitions: string[] = []) => ({
    permissions: new Set(permissions),
    prohibitions: new Set(prohibitions),
  })
  t.equal(findRefusal(holder(['view playlist']), 'view playlist'), null)
  t.equal(findRefusal(holder([]), 'view playlist'), 'missing')
  t.equal(findRefusal(holder(['VIEW PLAYLIST']), 'view playlist'), 'missing')
  t.equal(findRefusal(holder(['view playlist'], ['view playlist']), 'view playlist'), 'prohibited')
  t.equal(findRefusal(holder([], ['view playlist']), 'view playlist'), 'prohibited')
  t.equal(findRefusal(holder(['view playlist'], ['create playlist']), 'view playlist'), null)
  t.equal(findRefusal(holder(['bypass authorization']), 'view playlist'), null)
  t.equal(findRefusal(holder(['bypass authorization'], ['view playlist']), 'view playlist'), null)
})
