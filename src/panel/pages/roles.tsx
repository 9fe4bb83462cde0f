import type { Role, RoleBook } from '#src/database/roles.ts'
import { FaultsOf, Form, OwnPassword, type Returned, tickedOf } from '../elements.tsx'
import { ROLES_PATH, rolePath } from '../paths.ts'

/** Which role allows what. */
export function Roles({ book: { roles, permissions }, mayUpdate }: { book: RoleBook; mayUpdate: boolean }) {
  const allowed = roles.map(role => new Set(role.permissions))
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
    <section class="wide" aria-label="Roles and permissions" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Permission</th>
            {roles.map(({ id, name }) => (
              <th scope="col" key={id}>
                {mayUpdate ? <a href={rolePath(id)}>{name}</a> : name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {permissions.map(permission => (
            <tr key={permission}>
              <th scope="row">{permission}</th>
              {roles.map(({ id }, index) => (
                <td key={id}>
                  {allowed[index]?.has(permission) ? (
                    <>
                      <span aria-hidden="true">✓</span>
                      <span class="unseen">yes</span>
                    </>
                  ) : (
                    <span class="unseen">no</span>
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

/** One role, with all that it can allow. */
export function RolePage({
  role,
  book: { permissions, version },
  mayChange,
  owesPassword,
  returned,
}: {
  role: Role
  book: RoleBook
  /** Whether the viewer may do all that some permissions name. */
  mayChange(permissions: readonly string[]): boolean
  owesPassword: boolean
  returned: Returned
}) {
  const ticked = tickedOf(returned, 'permissions', role.permissions)
  if (!mayChange(role.permissions)) {
    return (
      <section>
        <p>You may not change this role, since it allows more than you may do yourself.</p>
        <ul class="choices">
          {role.permissions.map(permission => (
            <li key={permission}>{permission}</li>
          ))}
        </ul>
        <p>
          <a href={ROLES_PATH}>Back to all roles</a>
        </p>
      </section>
    )
  }
  return (
    <section>
      {role.isDefault && <p>Whoever verifies an e-mail address gets this role.</p>}
      <Form action={rolePath(role.id)}>
        <input type="hidden" name="version" value={String(version)} />
        <fieldset>
          <legend>What it allows</legend>
          <ul class="choices">
            {permissions.map(permission => (
              <li key={permission}>
                <label>
                  <input
                    type="checkbox"
                    name="permissions[]"
                    value={permission}
                    checked={ticked.includes(permission)}
                  />
                  {permission}
                  {!mayChange([permission]) && <span class="hint"> (not yours to change)</span>}
                </label>
              </li>
            ))}
          </ul>
          <FaultsOf id="permissions" faults={returned.faults.permissions ?? []} />
        </fieldset>
        {owesPassword && <OwnPassword returned={returned} />}
        <button type="submit">Set what it allows</button>
      </Form>
      <p>
        <a href={ROLES_PATH}>Back to all roles</a>
      </p>
    </section>
  )
}
