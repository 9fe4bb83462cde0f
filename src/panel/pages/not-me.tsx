import { Form } from '../elements.tsx'
import { FORGOT_PASSWORD_PATH, LOGIN_PATH, NOT_ME_PATH } from '../paths.ts'

/** Asks whether everybody is to be logged out. Opening the page changes nothing: scanners open links. */
export function NotMe({ name, token }: { name: string; token: string }) {
  return (
    <section class="narrow">
      <p>{`Was something in the account “${name}” not your doing?`}</p>
      <p>
        The button logs all browsers out, those that stay logged in as well, and sends a link to a new
        password to the account's e-mail address.
      </p>
      <Form action={NOT_ME_PATH}>
        <input type="hidden" name="token" value={token} />
        <div class="field">
          <label>
            <input type="checkbox" name="revoke_tokens" value="1" aria-describedby="revoke-hint" />
            Revoke all tokens as well
          </label>
          <p class="hint" id="revoke-hint">
            Programs that use them need new ones. Tick it if a token is not yours.
          </p>
        </div>
        <button type="submit" class="grave">
          This was not me
        </button>
      </Form>
    </section>
  )
}

/** Says what was done, and what is to be done next. */
export function Secured({
  tokens,
  isMailed,
}: {
  /** How many were revoked; null for none because they were left alone. */
  tokens: number | null
  /** Whether a link to a new password was sent. */
  isMailed: boolean
}) {
  return (
    <section class="narrow">
      <p>
        All browsers are logged out.{' '}
        {tokens === null
          ? 'Tokens go on.'
          : tokens === 1
            ? 'One token is revoked.'
            : `${tokens} tokens are revoked.`}
      </p>
      <p>What to do now:</p>
      <ol>
        <li>
          {isMailed ? (
            'Choose a new password by the link that is on its way to your e-mail address. The old password still opens the account until then.'
          ) : (
            <>
              <a href={LOGIN_PATH}>Log in</a> and choose a new password. The old one still opens the account
              until then.
            </>
          )}
        </li>
        <li>Look at the second factor and the activity of your account.</li>
        {tokens === null && <li>Revoke the tokens that are not yours.</li>}
      </ol>
    </section>
  )
}

/** Says that a link counts no more, and what can be done without it. */
export function NotMeImpossible() {
  return (
    <section class="narrow">
      <p>
        This link counts no more: it or a later one was used, it is older than seven days, or the account is
        deleted.
      </p>
      <p>
        If something in your account is not your doing,{' '}
        <a href={FORGOT_PASSWORD_PATH}>ask for a new password</a> now: that logs everybody out.
      </p>
    </section>
  )
}
