import { FaultsOf, Field, Form, NewPasswordFields, type Returned } from '../elements.tsx'
import { CHALLENGE_PATH, FORGOT_PASSWORD_PATH, LOGIN_PATH, RESET_PASSWORD_PATH } from '../paths.ts'

/** The page on which one logs in; `to` is where that leads. */
export function Login({ returned, to }: { returned: Returned; to: string | null }) {
  return (
    <section class="narrow">
      <Form action={LOGIN_PATH}>
        {to !== null && <input type="hidden" name="to" value={to} />}
        <Field
          name="email"
          label="E-mail address"
          type="email"
          autocomplete="username"
          isRequired
          isFocused
          returned={returned}
        />
        <Field
          name="password"
          label="Password"
          type="password"
          autocomplete="current-password"
          isRequired
          returned={returned}
        />
        <p class="field">
          <label>
            <input type="checkbox" name="remember" value="1" checked={returned.entered.remember != null} />
            Stay logged in on this browser
          </label>
        </p>
        <button type="submit">Log in</button>
      </Form>
      <p>
        <a href={FORGOT_PASSWORD_PATH}>I have forgotten my password</a>
      </p>
    </section>
  )
}

/** The page that asks for the second factor. */
export function Challenge({ returned, to }: { returned: Returned; to: string | null }) {
  return (
    <section class="narrow">
      <Form action={CHALLENGE_PATH}>
        {to !== null && <input type="hidden" name="to" value={to} />}
        <Field
          name="code"
          label="Code of your authenticator app"
          autocomplete="one-time-code"
          inputmode="numeric"
          isFocused
          returned={returned}
        />
        <Field name="recovery_code" label="Or a recovery code, which counts once" returned={returned} />
        <button type="submit">Go on</button>
      </Form>
    </section>
  )
}

/** The page that asks for a link to a new password. */
export function ForgottenPassword({ returned }: { returned: Returned }) {
  return (
    <section class="narrow">
      <p>A mail brings a link to a new password.</p>
      <Form action={FORGOT_PASSWORD_PATH}>
        <Field
          name="email"
          label="E-mail address"
          type="email"
          autocomplete="username"
          isRequired
          isFocused
          returned={returned}
        />
        <button type="submit">Send the link</button>
      </Form>
      <p>
        <a href={LOGIN_PATH}>Back to the login</a>
      </p>
    </section>
  )
}

/** The page to which that link leads; `token` is what the link brings along. */
export function NewPassword({
  returned,
  token,
  revokesTokens,
}: {
  returned: Returned
  token: string | null
  /** Whether tokens are revoked unless that is unticked. */
  revokesTokens: boolean
}) {
  return (
    <section class="narrow">
      <p>All browsers have to log in again.</p>
      <Form action={RESET_PASSWORD_PATH}>
        {token === null ? (
          <Field name="token" label="Token from the mail" isRequired returned={returned} />
        ) : (
          <>
            <input type="hidden" name="token" value={token} />
            <FaultsOf id="token" faults={returned.faults.token ?? []} />
          </>
        )}
        <Field
          name="email"
          label="E-mail address"
          type="email"
          autocomplete="username"
          isRequired
          isFocused
          returned={returned}
        />
        <NewPasswordFields returned={returned} revokesTokens={revokesTokens} />
        <button type="submit">Set the password</button>
      </Form>
      <p>
        <a href={FORGOT_PASSWORD_PATH}>Ask for another link</a>
      </p>
    </section>
  )
}
