import type { Role, RoleSnapshot } from '#src/database/roles.ts'
import {
  CurrentPasswordField,
  checkedValues,
  FieldErrorText,
  Form,
  type FormState,
  Link,
} from '../elements.tsx'
import { ROLES_PATH, rolePath } from '../paths.ts'

/** The matrix of roles and permissions. */
export function Roles({
  book: { roles, permissions },
  mayUpdate,
}: {
  book: RoleSnapshot
  mayUpdate: boolean
}) {
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
                {mayUpdate ? <Link to={rolePath(id)}>{name}</Link> : name}
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
                      <span class="visually-hidden">yes</span>
                    </>
                  ) : (
                    <span class="visually-hidden">no</span>
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

/** One role, with the form for its permissions. */
export function RolePage({
  role,
  book: { permissions, version },
  mayChange,
  owesPassword,
  formState,
}: {
  role: Role
  book: RoleSnapshot
  /** Whether the viewer has the given permissions. */
  mayChange(permissions: readonly string[]): boolean
  owesPassword: boolean
  formState: FormState
}) {
  const ticked = checkedValues(formState, 'permissions', role.permissions)
  if (!mayChange(role.permissions)) {
    return (
      <section>
        <p>You cannot change this role, because it has permissions that you do not have.</p>
        <ul class="choices">
          {role.permissions.map(permission => (
            <li key={permission}>{permission}</li>
          ))}
        </ul>
        <p>
          <Link to={ROLES_PATH}>Back to all roles</Link>
        </p>
      </section>
    )
  }
  return (
    <section>
      {role.isDefault && <p>Every user who verifies an e-mail address gets this role.</p>}
      <Form action={rolePath(role.id)}>
        <input type="hidden" name="version" value={String(version)} />
        <fieldset>
          <legend>Permissions</legend>
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
                  {!mayChange([permission]) && <span class="hint"> (you do not have it)</span>}
                </label>
              </li>
            ))}
          </ul>
          <FieldErrorText id="permissions" errors={formState.errors.permissions ?? []} />
        </fieldset>
        {owesPassword && <CurrentPasswordField formState={formState} />}
        <button type="submit">Save permissions</button>
      </Form>
      <p>
        <Link to={ROLES_PATH}>Back to all roles</Link>
      </p>
    </section>
  )
}
