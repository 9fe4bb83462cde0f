import type { Restriction } from '#src/database/restrictions.ts'
import type { Change } from '#src/database/roles.ts'
import type { Confirmation } from '../confirmation-form.ts'
import { Moment } from '../elements.tsx'
import { userPath } from '../paths.ts'
import { Changes } from './roles.tsx'

interface Subject {
  id: number
  name: string
  email: string
  tokens: number
}

function Named({ user: { name, email } }: { user: Subject }) {
  return (
    <>
      <dt>User</dt>
      <dd>
        <span class="name">{name}</span> ({email})
      </dd>
    </>
  )
}

const backTo = ({ id }: Subject) => userPath(id)

/** Asks before a user's roles are changed. */
export const aboutRoles = (user: Subject, change: Change): Confirmation => ({
  title: `Change the roles of ${user.name}?`,
  active: 'Users',
  content: (
    <dl>
      <Named user={user} />
      <Changes change={change} />
    </dl>
  ),
  button: 'Change the roles',
  back: backTo(user),
})

const numberOf = (count: number, one: string) =>
  `${count === 0 ? 'no' : count} ${one}${count === 1 ? '' : 's'}`

/** Asks before a user's tokens and sessions end. */
export const aboutCuttingOff = (user: Subject, browsers: number): Confirmation => ({
  title: `Revoke all tokens and sessions of ${user.name}?`,
  active: 'Users',
  content: (
    <>
      <dl>
        <Named user={user} />
        <dt>Ends</dt>
        <dd>{`${numberOf(user.tokens, 'token')}, ${numberOf(browsers, 'login')}`}</dd>
      </dl>
      <p>The user has to log in again, and programs need new tokens. This cannot be undone.</p>
    </>
  ),
  button: 'Revoke them all',
  back: backTo(user),
})

/** Asks before a user is banned; `until` in milliseconds since the epoch, null for a ban without an end. */
export const aboutBan = (
  user: Subject,
  {
    name,
    reason,
    until,
    present,
  }: {
    name: string
    reason: string | null
    until: number | null
    /** The ban whose place it takes; null for none. */
    present: Restriction | null
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
        <dd>{until === null ? 'without an end' : <Moment at={until} />}</dd>
        <dt>Reason</dt>
        <dd>{reason ?? 'none is given'}</dd>
        {present !== null && (
          <>
            <dt>Instead of</dt>
            <dd>
              {present.expiresAt === null ? (
                'one without an end'
              ) : (
                <>
                  one until <Moment at={present.expiresAt} />
                </>
              )}
              {present.reason !== null && `: ${present.reason}`}
            </dd>
          </>
        )}
      </dl>
      <p>A mail tells the user all of this.</p>
    </>
  ),
  button: 'Ban the user',
  back: backTo(user),
})
