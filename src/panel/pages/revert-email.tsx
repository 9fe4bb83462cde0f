import { Form } from '../elements.tsx'
import { REVERT_EMAIL_PATH } from '../paths.ts'

/** Asks whether to restore the old e-mail address. Opening the page has no effect, since mail scanners open links. */
export function RevertEmail({ email, token }: { email: string; token: string }) {
  return (
    <section class="narrow">
      <p>{`Restore ${email} as the e-mail address of your account?`}</p>
      <p>
        This logs out all browsers, invalidates the password, and sends a link to set a new password to{' '}
        {email}.
      </p>
      <Form action={REVERT_EMAIL_PATH}>
        <input type="hidden" name="token" value={token} />
        <button type="submit" class="danger">
          Restore address
        </button>
      </Form>
    </section>
  )
}

/** Reports that the old address is restored. */
export function EmailReverted({ email }: { email: string }) {
  return (
    <section class="narrow">
      <p>{`${email} is the address of your account again. We have sent a link to set a new password there.`}</p>
      <p>After login, check the tokens and the second factor of your account.</p>
    </section>
  )
}

/** Reports why the old address cannot be restored. */
export function RevertRefused({ reason }: { reason: string }) {
  return (
    <section class="narrow">
      <p>{reason}</p>
    </section>
  )
}
