import type { Restriction } from '#src/database/restrictions.ts'
import type { ListedUser, UserFile } from '#src/database/user-directory.ts'
import {
  Action,
  BLANK,
  FaultsOf,
  Field,
  Form,
  Moment,
  OwnPassword,
  type Returned,
  tickedOf,
} from '../elements.tsx'
import { USERS_PATH, userPath } from '../paths.ts'
import { Events, type ShownEvent } from './account.tsx'

/** The users whom a search has found. */
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
          <form method="get" action={USERS_PATH} class="row">
            <Field name="q" label="Name, e-mail address or id" type="search" value={text} />
            <button type="submit">Search</button>
          </form>
        </search>
      </section>
      {users.length === 0 ? (
        <section>
          <p>Nobody is found.</p>
        </section>
      ) : (
        <ul class="list">
          {users.map(({ id, name, email, isVerified, createdAt, roles }) => (
            <li key={id}>
              <div>
                <p class="name">
                  <a href={userPath(id)}>{name}</a>
                </p>
                <p class="hint">
                  {email}
                  {!isVerified && ' (not verified)'}, since <Moment at={createdAt} />
                </p>
              </div>
              <Tags names={roles} />
            </li>
          ))}
        </ul>
      )}
      <p class="more">
        {previous !== null && <a href={previous}>Newer ones</a>}
        {next !== null && <a href={next}>Older ones</a>}
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

/** What the viewer may do with a user. */
interface Powers {
  update: boolean
  ban: boolean
  lift: boolean
}

interface UserProps {
  file: UserFile
  roles: readonly string[]
  restrictions: readonly Restriction[]
  choices: readonly { kind: string; id: number; name: string }[]
  events: readonly ShownEvent[]
  may: Powers
  owesPassword: boolean
  /** What came back, and which of the page's forms it was. */
  returned: { roles?: Returned; ban?: Returned; notification?: Returned }
}

/** A user, with all that those who run the place can do. */
export function User({ file, roles, restrictions, choices, events, may, owesPassword, returned }: UserProps) {
  const path = userPath(file.id)
  const ticked = tickedOf(returned.roles ?? BLANK, 'roles', file.roles)
  return (
    <>
      <section aria-labelledby="about">
        <h2 id="about">About</h2>
        <dl>
          <dt>Id</dt>
          <dd>{file.id}</dd>
          <dt>E-mail address</dt>
          <dd>
            {file.email} {file.isVerified ? '(verified)' : '(not verified)'}
          </dd>
          <dt>Since</dt>
          <dd>
            <Moment at={file.createdAt} />
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
            {!file.isVerified && <Action action={`${path}/verify`} label="Count the address as verified" />}
            <Action action={`${path}/revoke`} label="Revoke all tokens and sessions" isGrave />
          </div>
        )}
      </section>
      {may.update && (
        <section aria-labelledby="roles">
          <h2 id="roles">Roles</h2>
          <Form action={`${path}/roles`}>
            <fieldset>
              <legend>Which it has</legend>
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
            {owesPassword && <OwnPassword returned={returned.roles} id="roles-password" />}
            <button type="submit">Set the roles</button>
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
                      'without an end'
                    ) : (
                      <>
                        until <Moment at={expiresAt} />
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
        {may.ban && <NewBan path={path} choices={choices} returned={returned.ban ?? BLANK} />}
      </section>
      <section aria-labelledby="notifications">
        <h2 id="notifications">Notifications</h2>
        <ul class="list">
          {file.notifications.map(({ id, type, data, readAt, createdAt }) => (
            <li key={id}>
              <div>
                <p class="hint">
                  {type}, <Moment at={createdAt} />, {readAt === null ? 'not read' : 'read'}
                </p>
                <pre>{data}</pre>
              </div>
            </li>
          ))}
        </ul>
        {may.update && <NewNotification path={path} returned={returned.notification ?? BLANK} />}
      </section>
      <h2>Activity</h2>
      <Events events={events} older={null} />
    </>
  )
}

/** What the form of a ban calls everything that there is to ban from. */
export const EVERYTHING = 'everything'

function NewBan({
  path,
  choices,
  returned,
}: {
  path: string
  choices: UserProps['choices']
  returned: Returned
}) {
  const chosen = returned.entered.ban
  return (
    <Form action={`${path}/ban`}>
      <div class="field">
        <label for="ban">Ban from</label>
        <select
          id="ban"
          name="ban"
          required
          aria-invalid={returned.faults.ban ? 'true' : undefined}
          aria-describedby={returned.faults.ban ? 'ban-fault' : undefined}
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
        <FaultsOf id="ban" faults={returned.faults.ban ?? []} />
      </div>
      <Field name="reason" label="Reason, which the mail tells" returned={returned} />
      <Field
        name="expires_at"
        label="Until"
        type="date"
        hint="At the beginning of that day, in UTC."
        returned={returned}
      />
      <p class="field">
        <label>
          <input type="checkbox" name="permanent" value="1" checked={returned.entered.permanent != null} />
          Without an end
        </label>
      </p>
      <button type="submit">Ban</button>
    </Form>
  )
}

/** What a notification is, unless somebody knows better. */
const TYPE = 'App\\Notifications\\MessageNotification'

function NewNotification({ path, returned }: { path: string; returned: Returned }) {
  return (
    <Form action={`${path}/notify`}>
      <Field name="type" label="Type" value={TYPE} isRequired returned={returned} />
      <Field
        name="data"
        label="What it says"
        lines={4}
        value={'{"title": "", "body": ""}'}
        hint="A JSON object, as the API gives it to programs."
        isRequired
        returned={returned}
      />
      <button type="submit">Notify</button>
    </Form>
  )
}
