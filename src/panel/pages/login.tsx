import { Field, FieldErrorText, Form, type FormState, Link, NewPasswordFields } from '../elements.tsx'
import { CHALLENGE_PATH, FORGOT_PASSWORD_PATH, LOGIN_PATH, RESET_PASSWORD_PATH } from '../paths.ts'

/** The login page; `to` is the page to open after login. */
export function Login({ formState, to }: { formState: FormState; to: string | null }) {
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
          formState={formState}
        />
        <Field
          name="password"
          label="Password"
          type="password"
          autocomplete="current-password"
          isRequired
          formState={formState}
        />
        <p class="field">
          <label>
            <input type="checkbox" name="remember" value="1" checked={formState.values.remember != null} />
            Stay logged in
          </label>
        </p>
        <button type="submit">Log in</button>
      </Form>
      <p>
        <Link to={FORGOT_PASSWORD_PATH}>Forgot your password?</Link>
      </p>
    </section>
  )
}

/** The page that asks for the second factor. */
export function Challenge({ formState, to }: { formState: FormState; to: string | null }) {
  return (
    <section class="narrow">
      <Form action={CHALLENGE_PATH}>
        {to !== null && <input type="hidden" name="to" value={to} />}
        <Field
          name="code"
          label="Code from your authenticator app"
          autocomplete="one-time-code"
          inputmode="numeric"
          isFocused
          formState={formState}
        />
        <Field name="recovery_code" label="Or a recovery code (single use)" formState={formState} />
        <button type="submit">Continue</button>
      </Form>
    </section>
  )
}

/** The page that requests a password reset. */
export function ForgotPassword({ formState }: { formState: FormState }) {
  return (
    <section class="narrow">
      <p>We will send you a mail with a link to set a new password.</p>
      <Form action={FORGOT_PASSWORD_PATH}>
        <Field
          name="email"
          label="E-mail address"
          type="email"
          autocomplete="username"
          isRequired
          isFocused
          formState={formState}
        />
        <button type="submit">Send link</button>
      </Form>
      <p>
        <Link to={LOGIN_PATH}>Back to login</Link>
      </p>
    </section>
  )
}

/** The page of the link in the mail; `token` is from the link. */
export function NewPassword({
  formState,
  token,
  revokesTokens,
}: {
  formState: FormState
  token: string | null
  /** Whether the checkbox to revoke tokens is checked by default. */
  revokesTokens: boolean
}) {
  return (
    <section class="narrow">
      <p>All browsers will be logged out.</p>
      <Form action={RESET_PASSWORD_PATH}>
        {token === null ? (
          <Field name="token" label="Token from the mail" isRequired formState={formState} />
        ) : (
          <>
            <input type="hidden" name="token" value={token} />
            <FieldErrorText id="token" errors={formState.errors.token ?? []} />
          </>
        )}
        <Field
          name="email"
          label="E-mail address"
          type="email"
          autocomplete="username"
          isRequired
          isFocused
          formState={formState}
        />
        <NewPasswordFields formState={formState} revokesTokens={revokesTokens} />
        <button type="submit">Set password</button>
      </Form>
      <p>
        <Link to={FORGOT_PASSWORD_PATH}>Request a new link</Link>
      </p>
    </section>
  )
}
