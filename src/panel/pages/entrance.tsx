import { Field, Form, type Returned } from '../elements.tsx'

/** The page on which one logs in; `to` is where that leads. */
export function Login({ returned, to }: { returned: Returned; to: string | null }) {
  return (
    <section class="narrow">
      <Form action="/admin/login">
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
    </section>
  )
}

/** The page that asks for the second factor. */
export function Challenge({ returned, to }: { returned: Returned; to: string | null }) {
  return (
    <section class="narrow">
      <Form action="/admin/two-factor">
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
