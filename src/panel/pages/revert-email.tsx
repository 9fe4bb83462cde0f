import { Form } from '../elements.tsx'
import { REVERT_EMAIL_PATH } from '../paths.ts'

/** Asks whether an old e-mail address is to be brought back. Opening the page changes nothing: scanners open links. */
export function RevertEmail({ email, token }: { email: string; token: string }) {
  return (
    <section class="narrow">
      <p>{`Bring ${email} back as the e-mail address of the account?`}</p>
      <p>
        All browsers are logged out, the password counts no more, and a link to a new password is sent to{' '}
        {email}.
      </p>
      <Form action={REVERT_EMAIL_PATH}>
        <input type="hidden" name="token" value={token} />
        <button type="submit" class="grave">
          Bring the address back
        </button>
      </Form>
    </section>
  )
}

/** Says that the old address is back. */
export function EmailReverted({ email }: { email: string }) {
  return (
    <section class="narrow">
      <p>{`${email} is the address of the account again. A link to a new password is on its way there.`}</p>
      <p>Check the tokens and the second factor of the account once you are logged in.</p>
    </section>
  )
}

/** Says that a link cannot bring an address back. */
export function RevertImpossible({ reason }: { reason: string }) {
  return (
    <section class="narrow">
      <p>{reason}</p>
    </section>
  )
}
