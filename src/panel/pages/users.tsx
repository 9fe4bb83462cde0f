import type { Restriction } from '#src/database/restrictions.ts'
import type { ListedUser, UserDetails } from '#src/database/user-directory.ts'
import {
  Action,
  CurrentPasswordField,
  checkedValues,
  EMPTY_FORM,
  Field,
  FieldErrorText,
  Form,
  type FormState,
  Link,
  Timestamp,
  usePublicPath,
} from '../elements.tsx'
import { USERS_PATH, userPath } from '../paths.ts'
import { Events, type ShownEvent } from './account.tsx'

/** The list of users, with a search field. */
export function Users({
  users,
  text,
  previous,
  next,
}: {
  users: readonly ListedUser[]
  text: string
  previous: string | null
  next: string | null
}) {
  return (
    <>
      <section>
        <search>
          <form method="get" action={usePublicPath(USERS_PATH)} class="row">
            <Field name="q" label="Name, e-mail address or id" type="search" value={text} />
            <button type="submit">Search</button>
          </form>
        </search>
      </section>
      {users.length === 0 ? (
        <section>
          <p>No users found.</p>
        </section>
      ) : (
        <ul class="list">
          {users.map(({ id, name, email, isVerified, createdAt, roles }) => (
            <li key={id}>
              <div>
                <p class="name">
                  <Link to={userPath(id)}>{name}</Link>
                </p>
                <p class="hint">
                  {email}
                  {!isVerified && ' (not verified)'}, since <Timestamp at={createdAt} />
                </p>
              </div>
              <Tags names={roles} />
            </li>
          ))}
        </ul>
      )}
      <p class="more">
        {previous !== null && <Link to={previous}>Previous page</Link>}
        {next !== null && <Link to={next}>Next page</Link>}
      </p>
    </>
  )
}

function Tags({ names }: { names: readonly string[] }) {
  return (
    <div>
      {names.map(name => (
        <span class="tag" key={name}>
          {name}
        </span>
      ))}
    </div>
  )
}

/** The actions that the viewer may take on a user. */
interface AllowedActions {
  update: boolean
  ban: boolean
  lift: boolean
}

interface UserProps {
  file: UserDetails
  roles: readonly string[]
  restrictions: readonly Restriction[]
  choices: readonly { kind: string; id: number; name: string }[]
  events: readonly ShownEvent[]
  may: AllowedActions
  owesPassword: boolean
  /** The form that is shown again with errors. */
  formState: { roles?: FormState; ban?: FormState; notification?: FormState }
}

/** The page of a user, with the actions for staff. */
export function User({
  file,
  roles,
  restrictions,
  choices,
  events,
  may,
  owesPassword,
  formState,
}: UserProps) {
  const path = userPath(file.id)
  const ticked = checkedValues(formState.roles ?? EMPTY_FORM, 'roles', file.roles)
  return (
    <>
      <section aria-labelledby="about">
        <h2 id="about">Account</h2>
        <dl>
          <dt>Id</dt>
          <dd>{file.id}</dd>
          <dt>E-mail address</dt>
          <dd>
            {file.email} {file.isVerified ? '(verified)' : '(not verified)'}
          </dd>
          <dt>Registered</dt>
          <dd>
            <Timestamp at={file.createdAt} />
          </dd>
          <dt>Second factor</dt>
          <dd>{file.hasSecondFactor ? 'yes' : 'no'}</dd>
          <dt>Tokens</dt>
          <dd>{file.tokens}</dd>
          <dt>Sessions</dt>
          <dd>{file.sessions}</dd>
          <dt>Roles</dt>
          <dd>
            <Tags names={file.roles} />
          </dd>
        </dl>
        {may.update && (
          <div class="row">
            {!file.isVerified && <Action action={`${path}/verify`} label="Mark the address as verified" />}
            <Action action={`${path}/revoke`} label="Revoke all tokens and sessions" isDangerous />
          </div>
        )}
      </section>
      {may.update && (
        <section aria-labelledby="roles">
          <h2 id="roles">Roles</h2>
          <Form action={`${path}/roles`}>
            <fieldset>
              <legend>Roles of the user</legend>
              <ul class="choices">
                {roles.map(name => (
                  <li key={name}>
                    <label>
                      <input type="checkbox" name="roles[]" value={name} checked={ticked.includes(name)} />
                      {name}
                    </label>
                  </li>
                ))}
              </ul>
            </fieldset>
            {owesPassword && <CurrentPasswordField formState={formState.roles} id="roles-password" />}
            <button type="submit">Save roles</button>
          </Form>
        </section>
      )}
      <section aria-labelledby="bans">
        <h2 id="bans">Bans</h2>
        {restrictions.length === 0 && <p>None.</p>}
        {restrictions.length > 0 && (
          <ul class="list">
            {restrictions.map(({ kind, id, name, reason, expiresAt, moderator }) => (
              <li key={`${kind} ${id}`}>
                <div>
                  <p class="name">{name}</p>
                  <p class="hint">
                    {expiresAt === null ? (
                      'permanent'
                    ) : (
                      <>
                        until <Timestamp at={expiresAt} />
                      </>
                    )}
                    {moderator !== null && `, by ${moderator}`}
                    {reason !== null && `: ${reason}`}
                  </p>
                </div>
                {may.lift && (
                  <Action
                    action={`${path}/lift`}
                    label="Lift"
                    about={name}
                    values={{ ban: `${kind}:${id}` }}
                  />
                )}
              </li>
            ))}
          </ul>
        )}
        {may.ban && <NewBan path={path} choices={choices} formState={formState.ban ?? EMPTY_FORM} />}
      </section>
      <section aria-labelledby="notifications">
        <h2 id="notifications">Notifications</h2>
        <ul class="list">
          {file.notifications.map(({ id, type, data, readAt, createdAt }) => (
            <li key={id}>
              <div>
                <p class="hint">
                  {type}, <Timestamp at={createdAt} />, {readAt === null ? 'not read' : 'read'}
                </p>
                <pre>{data}</pre>
              </div>
            </li>
          ))}
        </ul>
        {may.update && <NewNotification path={path} formState={formState.notification ?? EMPTY_FORM} />}
      </section>
      <h2>Activity</h2>
      <Events events={events} older={null} />
    </>
  )
}

/** The form value for a ban from everything. */
export const EVERYTHING = 'everything'

function NewBan({
  path,
  choices,
  formState,
}: {
  path: string
  choices: UserProps['choices']
  formState: FormState
}) {
  const chosen = formState.values.ban
  return (
    <Form action={`${path}/ban`}>
      <div class="field">
        <label for="ban">Ban from</label>
        <select
          id="ban"
          name="ban"
          required
          aria-invalid={formState.errors.ban ? 'true' : undefined}
          aria-describedby={formState.errors.ban ? 'ban-error' : undefined}
        >
          <option value="">Choose what to ban from</option>
          <option value={EVERYTHING} selected={chosen === EVERYTHING}>
            everything
          </option>
          {choices.map(({ kind, id, name }) => (
            <option value={`${kind}:${id}`} selected={chosen === `${kind}:${id}`} key={`${kind} ${id}`}>
              {kind === 'sanction' ? `${name} (several)` : name}
            </option>
          ))}
        </select>
        <FieldErrorText id="ban" errors={formState.errors.ban ?? []} />
      </div>
      <Field name="reason" label="Reason (included in the mail to the user)" formState={formState} />
      <Field
        name="expires_at"
        label="Until"
        type="date"
        hint="At 00:00 UTC on that day."
        formState={formState}
      />
      <p class="field">
        <label>
          <input type="checkbox" name="permanent" value="1" checked={formState.values.permanent != null} />
          Permanent
        </label>
      </p>
      <button type="submit">Ban</button>
    </Form>
  )
}

/** The default type of a notification. */
const TYPE = 'App\\Notifications\\MessageNotification'

function NewNotification({ path, formState }: { path: string; formState: FormState }) {
  return (
    <Form action={`${path}/notify`}>
      <Field name="type" label="Type" value={TYPE} isRequired formState={formState} />
      <Field
        name="data"
        label="Content"
        lines={4}
        value={'{"title": "", "body": ""}'}
        hint="A JSON object, as the API returns it."
        isRequired
        formState={formState}
      />
      <button type="submit">Send notification</button>
    </Form>
  )
}
