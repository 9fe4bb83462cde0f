import type { KnownBrowser } from '#src/database/browsers.ts'
import type { Restriction } from '#src/database/restrictions.ts'
import type { Change, Role } from '#src/database/roles.ts'
import { Agent, type Faults, Form, Moment } from '../elements.tsx'
import { DEVICES_PATH, rolePath, TOKENS_PATH, userPath } from '../paths.ts'
import type { Question } from '../question.ts'

/** Asks before something is done, in a form that sends the same fields once more. */
export function Confirmation({
  question: { content, aside, fields: entry, button, back },
  action,
  fields,
  seen,
  faults,
}: {
  question: Question
  action: string
  fields: readonly [name: string, value: string][]
  /** What tells the question that was read. */
  seen: string
  /** What was wrong with what was entered. */
  faults: Faults
}) {
  return (
    <section>
      {content}
      {aside}
      <Form action={action}>
        {fields.map(([name, value]) => (
          <input type="hidden" name={name} value={value} key={name} />
        ))}
        <input type="hidden" name="_seen" value={seen} />
        <input type="hidden" name="confirmed" value="1" />
        {entry?.(faults)}
        <div class="row">
          <button type="submit" class="grave">
            {button}
          </button>
          <a class="button quiet" href={back}>
            No, go back
          </a>
        </div>
      </Form>
    </section>
  )
}

/** Of so many tokens the names are told. */
const TOLD = 50

interface NamedToken {
  id: number
  name: string
}

function TokenNames({ tokens }: { tokens: readonly NamedToken[] }) {
  return (
    <ul>
      {tokens.slice(0, TOLD).map(({ id, name }) => (
        <li key={id}>
          <span class="name">{name}</span> <span class="hint">{`(begins with ${id}|)`}</span>
        </li>
      ))}
      {tokens.length > TOLD && <li>{`and ${tokens.length - TOLD} more`}</li>}
    </ul>
  )
}

const REFUSED = 'Programs that use them are refused from then on. This cannot be undone.'

/** Asks before a token is revoked, with which others may end. */
export function aboutRevoking(token: NamedToken, ending: readonly NamedToken[]): Question {
  const others = ending.filter(({ id }) => id !== token.id)
  return {
    title: `Revoke “${token.name}”?`,
    active: 'Tokens',
    content:
      others.length === 0 ? (
        <p>The token ends at once. A program that uses it is refused from then on. This cannot be undone.</p>
      ) : (
        <>
          <p>{`${ending.length} tokens end at once: this one, and those that descend from it:`}</p>
          <TokenNames tokens={others} />
          <p>{REFUSED}</p>
        </>
      ),
    button: others.length === 0 ? 'Revoke the token' : `Revoke ${ending.length} tokens`,
    back: TOKENS_PATH,
  }
}

/** Asks before all tokens of the user who asks are revoked. */
export const aboutRevokingAll = (ending: readonly NamedToken[]): Question => ({
  title: 'Revoke all tokens?',
  active: 'Tokens',
  content: (
    <>
      <p>{ending.length === 1 ? 'One token ends at once:' : `${ending.length} tokens end at once:`}</p>
      <TokenNames tokens={ending} />
      <p>{REFUSED}</p>
    </>
  ),
  button: 'Revoke all tokens',
  back: TOKENS_PATH,
})

const addressOf = ({ address }: KnownBrowser) => address ?? 'an unknown address'

/** Asks before a browser is logged out; it may be the one that asks. */
export const aboutEnding = (browser: KnownBrowser, isCurrent: boolean): Question => ({
  title: 'Log this browser out?',
  active: 'Devices',
  content: (
    <>
      <dl>
        <dt>Program</dt>
        <dd>
          <Agent text={browser.userAgent} />
        </dd>
        <dt>Address</dt>
        <dd>{addressOf(browser)}</dd>
      </dl>
      <p>
        {isCurrent ? 'It is the one that you are using. ' : ''}
        It has to log in again
        {browser.isRemembered ? ', although it was to stay logged in' : ''}.
      </p>
    </>
  ),
  button: 'Log it out',
  back: DEVICES_PATH,
})

/** Asks before all browsers but the one that asks are logged out. */
export const aboutEndingOthers = (browsers: readonly KnownBrowser[]): Question => ({
  title: 'Log all other browsers out?',
  active: 'Devices',
  content: (
    <>
      <p>{browsers.length === 1 ? 'One browser has' : `${browsers.length} browsers have`} to log in again:</p>
      <ul>
        {browsers.map(browser => (
          <li key={browser.id}>
            <Agent text={browser.userAgent} /> at {addressOf(browser)}
          </li>
        ))}
      </ul>
    </>
  ),
  button: 'Log all others out',
  back: DEVICES_PATH,
})

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

function Changes({ change: { granted, revoked } }: { change: Change }) {
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
      {of('Gains', granted)}
      {of('Loses', revoked)}
    </>
  )
}

const backTo = ({ id }: Subject) => userPath(id)

/** Asks before a user's roles are changed. */
export const aboutRoles = (user: Subject, change: Change): Question => ({
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
export const aboutCuttingOff = (user: Subject, browsers: number): Question => ({
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
): Question => ({
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

/** Asks before a role allows other things; `holders` is how many users have it. */
export const aboutRole = (role: Role, change: Change, holders: number): Question => ({
  title: `Change what ${role.name} allows?`,
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
  button: 'Change what it allows',
  back: rolePath(role.id),
})
