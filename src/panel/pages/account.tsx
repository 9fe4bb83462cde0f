import type { KnownBrowser } from '#src/database/browsers.ts'
import { Action, Agent, Field, Form, Moment, NewPasswordFields, type Returned } from '../elements.tsx'
import { END_OTHER_DEVICES_PATH, endDevicePath, PASSWORD_PATH } from '../paths.ts'

/** The browsers in which a user is logged in. */
export function Devices({ browsers, current }: { browsers: readonly KnownBrowser[]; current: string }) {
  return (
    <>
      <ul class="list">
        {browsers.map(({ id, address, userAgent, lastActiveAt, isRemembered }) => (
          <li key={id}>
            <div>
              <p class="name">
                <Agent text={userAgent} />
              </p>
              <p class="hint">
                {id === current && <span class="tag">this browser</span>}
                {isRemembered && <span class="tag">stays logged in</span>}
                {address ?? 'unknown address'}, last active <Moment at={lastActiveAt} />
              </p>
            </div>
            {id !== current && (
              <Action
                action={endDevicePath(id)}
                label="Log out"
                about={`${userAgent ?? 'unknown program'} at ${address ?? 'an unknown address'}`}
                isGrave
              />
            )}
          </li>
        ))}
      </ul>
      {browsers.length > 1 && <Action action={END_OTHER_DEVICES_PATH} label="Log all others out" isGrave />}
    </>
  )
}

/** Something that happened to an account, as its row has it. */
export interface ShownEvent {
  id: number
  created_at: string
  event: string
  details: string
  ip_address: string | null
  user_agent: string | null
}

/** What happened to an account, newest first. */
export function Events({ events, older }: { events: readonly ShownEvent[]; older: string | null }) {
  if (events.length === 0) {
    return (
      <section>
        <p>Nothing has happened yet.</p>
      </section>
    )
  }
  return (
    <>
      <ul class="list">
        {events.map(({ id, created_at, event, details, ip_address, user_agent }) => (
          <li key={id}>
            <div>
              <p>
                <span class="name">{event}</span> <span class="hint">{describe(details)}</span>
              </p>
              <p class="hint">
                <Moment at={created_at} />
                {ip_address !== null && (
                  <>
                    {' '}
                    from {ip_address} by <Agent text={user_agent} />
                  </>
                )}
              </p>
            </div>
          </li>
        ))}
      </ul>
      {older !== null && (
        <p>
          <a href={older}>Older ones</a>
        </p>
      )}
    </>
  )
}

/** The details of an event in a line. */
const describe = (details: string): string =>
  Object.entries(JSON.parse(details) as Record<string, unknown>)
    .map(([name, value]) => `${name}: ${String(value)}`)
    .join(', ')

/** The form for another password. */
export function Password({ returned }: { returned: Returned }) {
  return (
    <section>
      <p>All other browsers have to log in again. Tokens go on unless you say so.</p>
      <Form action={PASSWORD_PATH}>
        <Field
          name="current_password"
          label="Your present password"
          type="password"
          autocomplete="current-password"
          isRequired
          returned={returned}
        />
        <NewPasswordFields returned={returned} />
        <button type="submit">Change the password</button>
      </Form>
    </section>
  )
}
