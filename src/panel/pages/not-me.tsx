import { Form, Link } from '../elements.tsx'
import { FORGOT_PASSWORD_PATH, LOGIN_PATH, NOT_ME_PATH } from '../paths.ts'

/** Asks whether to log out all browsers. Opening the page has no effect, since mail scanners open links. */
export function NotMe({ name, token }: { name: string; token: string }) {
  return (
    <section class="narrow">
      <p>{`Did you notice activity in the account “${name}” that was not yours?`}</p>
      <p>
        This logs out all browsers, including remembered ones, and sends a link to set a new password to the
        account's e-mail address.
      </p>
      <Form action={NOT_ME_PATH}>
        <input type="hidden" name="token" value={token} />
        <div class="field">
          <label>
            <input type="checkbox" name="revoke_tokens" value="1" aria-describedby="revoke-hint" />
            Also revoke all tokens
          </label>
          <p class="hint" id="revoke-hint">
            Programs that use them will need new tokens. Choose this if you see a token that is not yours.
          </p>
        </div>
        <button type="submit" class="danger">
          This was not me
        </button>
      </Form>
    </section>
  )
}

/** Reports what was done, and lists the next steps. */
export function Secured({
  tokens,
  isMailed,
}: {
  /** How many tokens were revoked; null if that was not requested. */
  tokens: number | null
  /** Whether the link to set a new password was sent. */
  isMailed: boolean
}) {
  return (
    <section class="narrow">
      <p>
        All browsers were logged out.{' '}
        {tokens === null
          ? 'Tokens remain valid.'
          : tokens === 1
            ? 'One token was revoked.'
            : `${tokens} tokens were revoked.`}
      </p>
      <p>Next steps:</p>
      <ol>
        <li>
          {isMailed ? (
            'Set a new password with the link that we have sent to your e-mail address. Until then the old password is still valid.'
          ) : (
            <>
              <Link to={LOGIN_PATH}>Log in</Link> and set a new password. Until then the old one is still
              valid.
            </>
          )}
        </li>
        <li>Check the second factor and the activity of your account.</li>
        {tokens === null && <li>Revoke the tokens that are not yours.</li>}
      </ol>
    </section>
  )
}

/** Reports that a link is no longer valid, and what to do instead. */
export function InvalidSecurityLink() {
  return (
    <section class="narrow">
      <p>
        This link is no longer valid: it or a newer one was used, it is older than seven days, or the account
        was deleted.
      </p>
      <p>
        If you notice activity that was not yours, <Link to={FORGOT_PASSWORD_PATH}>reset your password</Link>{' '}
        now: this logs out all browsers.
      </p>
    </section>
  )
}
