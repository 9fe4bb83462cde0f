import type { Restriction } from '#src/database/restrictions.ts'
import type { Change } from '#src/database/roles.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Confirmation } from '../confirmation-form.ts'
import { Timestamp } from '../elements.tsx'
import { userPath } from '../paths.ts'
import { Changes } from './roles.tsx'

interface TargetUser {
  id: number
  name: string
  email: string
  tokens: number
}

function Named({ user: { name, email } }: { user: TargetUser }) {
  return (
    <>
      <dt>User</dt>
      <dd>
        <span class="name">{name}</span> ({email})
      </dd>
    </>
  )
}

const backTo = ({ id }: TargetUser) => userPath(id)

/** Builds the confirmation of changing a user's roles. */
export const buildUserRolesConfirmation = (user: TargetUser, change: Change): Confirmation => ({
  title: `Change the roles of ${user.name}?`,
  active: 'Users',
  content: (
    <dl>
      <Named user={user} />
      <Changes change={change} />
    </dl>
  ),
  button: 'Change roles',
  back: backTo(user),
})

const numberOf = (count: number, one: string) =>
  `${count === 0 ? 'no' : count} ${one}${count === 1 ? '' : 's'}`

/** Builds the confirmation of revoking a user's tokens and sessions. */
export const buildEndAccessConfirmation = (user: TargetUser, browsers: number): Confirmation => ({
  title: `Revoke all tokens and sessions of ${user.name}?`,
  active: 'Users',
  content: (
    <>
      <dl>
        <Named user={user} />
        <dt>Revokes</dt>
        <dd>{`${numberOf(user.tokens, 'token')}, ${numberOf(browsers, 'login')}`}</dd>
      </dl>
      <p>The user must log in again, and programs need new tokens. This cannot be undone.</p>
    </>
  ),
  button: 'Revoke all',
  back: backTo(user),
})

/** Builds the confirmation of a ban. */
export const buildBanConfirmation = (
  user: TargetUser,
  {
    name,
    reason,
    until,
    replaced,
  }: {
    name: string
    reason: string | null
    /** Null for a permanent ban. */
    until: EpochMillis | null
    /** The current ban that is replaced; null for none. */
    replaced: Restriction | null
  },
): Confirmation => ({
  title: `Ban ${user.name}?`,
  active: 'Users',
  content: (
    <>
      <dl>
        <Named user={user} />
        <dt>Banned from</dt>
        <dd>{name}</dd>
        <dt>Until</dt>
        <dd>{until === null ? 'permanent' : <Timestamp at={until} />}</dd>
        <dt>Reason</dt>
        <dd>{reason ?? 'none'}</dd>
        {replaced !== null && (
          <>
            <dt>Replaces</dt>
            <dd>
              {replaced.expiresAt === null ? (
                'a permanent ban'
              ) : (
                <>
                  a ban until <Timestamp at={replaced.expiresAt} />
                </>
              )}
              {replaced.reason !== null && `: ${replaced.reason}`}
            </dd>
          </>
        )}
      </dl>
      <p>The user will be notified by mail.</p>
    </>
  ),
  button: 'Ban user',
  back: backTo(user),
})
