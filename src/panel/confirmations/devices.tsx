import type { KnownBrowser } from '#src/database/browsers.ts'
import type { Confirmation } from '../confirmation-form.ts'
import { UserAgent } from '../elements.tsx'
import { DEVICES_PATH } from '../paths.ts'

const addressOf = ({ address }: KnownBrowser) => address ?? 'an unknown address'

/** Builds the confirmation of logging a browser out, which may be the current one. */
export const buildLogoutConfirmation = (browser: KnownBrowser, isCurrent: boolean): Confirmation => ({
  title: 'Log out this browser?',
  active: 'Devices',
  content: (
    <>
      <dl>
        <dt>Program</dt>
        <dd>
          <UserAgent text={browser.userAgent} />
        </dd>
        <dt>Address</dt>
        <dd>{addressOf(browser)}</dd>
      </dl>
      <p>
        {isCurrent ? 'This is the browser that you are using. ' : ''}
        It must log in again
        {browser.isRemembered ? ', even though it was set to stay logged in' : ''}.
      </p>
    </>
  ),
  button: 'Log out',
  back: DEVICES_PATH,
})

/** Builds the confirmation of logging out all browsers except the current one. */
export const buildLogoutOthersConfirmation = (browsers: readonly KnownBrowser[]): Confirmation => ({
  title: 'Log out all other browsers?',
  active: 'Devices',
  content: (
    <>
      <p>{browsers.length === 1 ? 'One browser has' : `${browsers.length} browsers have`} to log in again:</p>
      <ul>
        {browsers.map(browser => (
          <li key={browser.id}>
            <UserAgent text={browser.userAgent} /> at {addressOf(browser)}
          </li>
        ))}
      </ul>
    </>
  ),
  button: 'Log out all other browsers',
  back: DEVICES_PATH,
})
