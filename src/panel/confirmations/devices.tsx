import type { KnownBrowser } from '#src/database/browsers.ts'
import type { Confirmation } from '../confirmation-form.ts'
import { Agent } from '../elements.tsx'
import { DEVICES_PATH } from '../paths.ts'

const addressOf = ({ address }: KnownBrowser) => address ?? 'an unknown address'

/** Asks before a browser is logged out; it may be the one that asks. */
export const aboutEnding = (browser: KnownBrowser, isCurrent: boolean): Confirmation => ({
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
export const aboutEndingOthers = (browsers: readonly KnownBrowser[]): Confirmation => ({
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
