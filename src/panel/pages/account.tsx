import type { KnownBrowser } from '#src/database/browsers.ts'
import {
  Action,
  CurrentPasswordField,
  Field,
  Form,
  type FormState,
  Link,
  NewPasswordFields,
  Timestamp,
  UserAgent,
  Username,
} from '../elements.tsx'
import { END_OTHER_DEVICES_PATH, EXPORT_PATH, endDevicePath, PASSWORD_PATH } from '../paths.ts'

/** The browsers in which a user is logged in. */
export function Devices({ browsers, current }: { browsers: readonly KnownBrowser[]; current: string }) {
  return (
    <>
      <ul class="list">
        {browsers.map(({ id, address, userAgent, lastActiveAt, isRemembered }) => (
          <li key={id}>
            <div>
              <p class="name">
                <UserAgent text={userAgent} />
              </p>
              <p class="hint">
                {id === current && <span class="tag">this browser</span>}
                {isRemembered && <span class="tag">stays logged in</span>}
                {address ?? 'unknown address'}, last active <Timestamp at={lastActiveAt} />
              </p>
            </div>
            {id !== current && (
              <Action
                action={endDevicePath(id)}
                label="Log out"
                about={`${userAgent ?? 'unknown program'} at ${address ?? 'an unknown address'}`}
                isDangerous
              />
            )}
          </li>
        ))}
      </ul>
      {browsers.length > 1 && (
        <Action action={END_OTHER_DEVICES_PATH} label="Log out all other browsers" isDangerous />
      )}
    </>
  )
}

/** An event, as its row has it. */
export interface ShownEvent {
  id: number
  created_at: string
  event: string
  details: string
  ip_address: string | null
  user_agent: string | null
}

/** The events of an account, newest first. */
export function Events({ events, older }: { events: readonly ShownEvent[]; older: string | null }) {
  if (events.length === 0) {
    return (
      <section>
        <p>No activity yet.</p>
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
                <span class="name">{event}</span> <span class="hint">{formatDetails(details)}</span>
              </p>
              <p class="hint">
                <Timestamp at={created_at} />
                {ip_address !== null && (
                  <>
                    {' '}
                    from {ip_address} by <UserAgent text={user_agent} />
                  </>
                )}
              </p>
            </div>
          </li>
        ))}
      </ul>
      {older !== null && (
        <p>
          <Link to={older}>Older activity</Link>
        </p>
      )}
    </>
  )
}

/** Formats the details of an event in one line. */
const formatDetails = (details: string): string =>
  Object.entries(JSON.parse(details) as Record<string, unknown>)
    .map(([name, value]) => `${name}: ${String(value)}`)
    .join(', ')

/** The form for changing the password. */
export function Password({ formState }: { formState: FormState }) {
  return (
    <section>
      <p>All other browsers will be logged out. Tokens remain valid unless you revoke them below.</p>
      <Form action={PASSWORD_PATH}>
        <Username />
        <Field
          name="current_password"
          label="Your current password"
          type="password"
          autocomplete="current-password"
          isRequired
          formState={formState}
        />
        <NewPasswordFields formState={formState} />
        <button type="submit">Change password</button>
      </Form>
    </section>
  )
}

/** The form for downloading everything that is stored about the user. */
export function DataExport({
  formState,
  owesPassword,
  dailyLimit,
}: {
  formState: FormState
  owesPassword: boolean
  /** How many downloads a day has. */
  dailyLimit: number
}) {
  return (
    <section>
      <p>
        Download everything that is stored about you as a JSON file: your account, roles, bans, playlists,
        external profiles, tokens, browsers, notifications and activity. It contains no passwords and no other
        secrets. Keep the file in a safe place.
      </p>
      <p class="hint">
        You can download it {dailyLimit === 1 ? 'once' : `${dailyLimit} times`} within 24 hours. If a download
        stops early, the file does not end with "complete": true.
      </p>
      <Form action={EXPORT_PATH}>
        {owesPassword && <CurrentPasswordField formState={formState} />}
        <button type="submit">Download my data</button>
      </Form>
    </section>
  )
}
