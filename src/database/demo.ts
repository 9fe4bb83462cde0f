import { type Kysely, sql } from 'kysely'
import { hashPassword } from '#src/auth/password.ts'
import { DAY_MS } from '#src/auth/time.ts'
import { mintSecret, PlainToken } from '#src/auth/token.ts'
import { addPlaylists, addProfiles, type DemoOptions } from './demo-lists.ts'
import { type DemoUser, USERS } from './demo-users.ts'
import { addWiki } from './demo-wiki.ts'
import { grant, grantDefaultRoles } from './permissions.ts'
import type { Schema } from './schema.ts'
import { insertToken } from './tokens.ts'
import { inTransaction } from './transaction.ts'
import { findUserByEmail, insertUser } from './users.ts'

/** The demo user's credentials. */
export interface DemoCredentials {
  email: string
  password: string
  token: PlainToken
}

/**
 * Adds demo users with playlists, profiles and notifications, in one transaction. Passwords are random: only the demo
 * user's is returned, the others are not known.
 *
 * @returns null when the demo data already exists
 */
export async function seedDemo(db: Kysely<Schema>, options: DemoOptions): Promise<DemoCredentials | null> {
  const { now, random, hashRounds, userTypes } = options
  const [demo] = USERS as [DemoUser]
  if ((await findUserByEmail(db, demo.email)) !== null) return null

  const password = random(12).toString('base64url')
  const hash = await hashPassword(password, hashRounds)
  const unknownPasswordHash = await hashPassword(random(24).toString('base64url'), hashRounds)
  const secret = mintSecret(options.tokenPrefix, random)

  return inTransaction(db, async transaction => {
    // Concurrent calls wait here.
    await sql`lock table users in share row exclusive mode`.execute(transaction)
    if ((await findUserByEmail(transaction, demo.email)) !== null) return null
    const wiki = await addWiki(transaction)
    let demoId = 0
    for (const user of USERS) {
      const { name, email, verified } = user
      const userId = await insertUser(transaction, {
        name,
        email,
        verified,
        password: user === demo ? hash : unknownPasswordHash,
        now: now - 90 * DAY_MS,
      })
      if (user === demo) demoId = userId
      const holder = { userId, types: userTypes }
      if (verified) await grantDefaultRoles(transaction, holder)
      await grant(transaction, 'role', holder, user.roles)
      await addPlaylists(transaction, userId, user, wiki, options)
      await addProfiles(transaction, userId, user, wiki, options)
    }
    const tokenId = await insertToken(transaction, {
      userId: demoId,
      userType: userTypes[0],
      name: 'demo',
      digest: secret.digest(),
      abilities: ['*'],
      expiresAt: null,
      now,
    })
    return { email: demo.email, password, token: new PlainToken(tokenId, secret) }
  })
}
