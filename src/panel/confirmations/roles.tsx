import type { Change, Role } from '#src/database/roles.ts'
import type { Confirmation } from '../confirmation-form.ts'
import { rolePath } from '../paths.ts'

/** The added and removed names of a change of roles or permissions. */
export function Changes({ change: { granted, revoked } }: { change: Change }) {
  const of = (label: string, names: readonly string[]) =>
    names.length > 0 && (
      <>
        <dt>{label}</dt>
        <dd>
          {names.map(name => (
            <span class="tag" key={name}>
              {name}
            </span>
          ))}
        </dd>
      </>
    )
  return (
    <>
      {of('Adds', granted)}
      {of('Removes', revoked)}
    </>
  )
}

/** Builds the confirmation of changing a role's permissions; `holders` is how many users have it. */
export const buildRoleConfirmation = (role: Role, change: Change, holders: number): Confirmation => ({
  title: `Change the permissions of ${role.name}?`,
  active: 'Roles',
  content: (
    <>
      <dl>
        <dt>Role</dt>
        <dd class="name">{role.name}</dd>
        <Changes change={change} />
      </dl>
      {role.isDefault && <p>Every user who verifies an e-mail address gets this role.</p>}
    </>
  ),
  aside: (
    <p>{holders === 1 ? 'One user has it now.' : `${holders === 0 ? 'No' : holders} users have it now.`}</p>
  ),
  button: 'Change permissions',
  back: rolePath(role.id),
})
