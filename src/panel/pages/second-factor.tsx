import type { TotpQrCode } from '#src/auth/second-factor.ts'
import type { Confirmation } from '../confirmation-form.ts'
import {
  Action,
  CurrentPasswordField,
  EMPTY_FORM,
  Field,
  type FieldErrors,
  Form,
  type FormState,
  Link,
  Secret,
  Timestamp,
} from '../elements.tsx'
import { SECOND_FACTOR_PATH as PATH } from '../paths.ts'

/** An unconfirmed second factor. */
export interface PendingFactor {
  secret: string
  qrCode: TotpQrCode
  recoveryCodes: readonly string[]
}

/** Reports that the user must have a second factor. */
export function SecondFactorRequiredNotice() {
  return (
    <section>
      <p>
        Your account requires a second factor. Until you have confirmed one, you cannot use anything else
        here, and your tokens are refused.
      </p>
    </section>
  )
}

/** Asks for the password before the second factor is shown or changed. */
export function PasswordRequired({ formState }: { formState: FormState }) {
  return (
    <section class="narrow">
      <p>Enter your password to see and change your second factor.</p>
      <Form action={`${PATH}/password`}>
        <CurrentPasswordField formState={formState} />
        <button type="submit">Continue</button>
      </Form>
    </section>
  )
}

/** Explains the second factor, with the form to set it up. */
export function NoFactor({ formState, owesPassword }: { formState: FormState; owesPassword: boolean }) {
  return (
    <section>
      <p>
        A second factor is an app on your phone that shows a new code every 30 seconds. You enter the code
        after your password. Without it, your password alone is not enough to log in.
      </p>
      <Form action={`${PATH}/enable`}>
        {owesPassword && <CurrentPasswordField formState={formState} />}
        <button type="submit">Set up a second factor</button>
      </Form>
    </section>
  )
}

/** The steps to add a second factor to an app and confirm it. `pending` is null if the secret cannot be decrypted. */
export function UnconfirmedFactor({
  pending,
  formState,
}: {
  pending: PendingFactor | null
  formState: FormState
}) {
  return (
    <>
      {pending === null ? (
        <section>
          <p>The secret of your second factor cannot be shown. Discard it and set up a new one.</p>
        </section>
      ) : (
        <Steps pending={pending} errors={formState.errors} />
      )}
      <Action action={`${PATH}/disable`} label="Discard" isDangerous />
    </>
  )
}

function Steps({
  pending: { secret, qrCode, recoveryCodes },
  errors,
}: {
  pending: PendingFactor
  errors: FieldErrors
}) {
  return (
    <>
      <section aria-labelledby="app">
        <h2 id="app">1. Add it to your authenticator app</h2>
        <p>
          Scan this QR code with the app, or <a href={qrCode.url}>open it in an app on this device</a>.
        </p>
        <div
          class="qr"
          role="img"
          aria-label="QR code of the secret"
          dangerouslySetInnerHTML={{ __html: qrCode.svg }}
        />
        <p>Or enter this secret in the app:</p>
        <Secret id="secret" text={secret} about="the secret" />
      </section>
      <section aria-labelledby="codes">
        <h2 id="codes">2. Save the recovery codes</h2>
        <RecoveryCodeList codes={recoveryCodes} />
      </section>
      <section aria-labelledby="confirm">
        <h2 id="confirm">3. Confirm it</h2>
        <p>
          After confirmation every login requires a code. All other browsers will be logged out, including
          remembered ones. Tokens remain valid.
        </p>
        <Form action={`${PATH}/confirm`}>
          <CodeField errors={errors} isRequired />
          <button type="submit">Confirm</button>
        </Form>
      </section>
    </>
  )
}

/** The field for a code from the app. Submitted codes are not shown again, since they are valid once. */
function CodeField({ errors, isRequired }: { errors: FieldErrors; isRequired?: boolean }) {
  return (
    <Field
      name="code"
      label="Code from your authenticator app"
      autocomplete="one-time-code"
      inputmode="numeric"
      isRequired={isRequired}
      formState={{ ...EMPTY_FORM, errors }}
    />
  )
}

const proofFields = (errors: FieldErrors) => (
  <>
    <CodeField errors={errors} />
    <Field
      name="recovery_code"
      label="Or a recovery code (single use)"
      formState={{ ...EMPTY_FORM, errors }}
    />
  </>
)

function RecoveryCodeList({ codes }: { codes: readonly string[] }) {
  return (
    <>
      <p>
        Each code lets you log in once without the app. Keep them in a safe place other than your phone:
        without the app and the codes you cannot log in.
      </p>
      <Secret id="recovery-codes" text={codes.join('\n')} about="the recovery codes" />
    </>
  )
}

/** An active second factor, with its actions. */
export function ConfirmedFactor({
  since,
  showsCodes,
  formState,
}: {
  since: string | null
  /** Whether the recovery codes are shown without a code. */
  showsCodes: boolean
  formState: FormState
}) {
  return (
    <>
      <section>
        <p>
          Your second factor has been active since <Timestamp at={since} />.
        </p>
      </section>
      <section aria-labelledby="codes">
        <h2 id="codes">Recovery codes</h2>
        <p>
          {showsCodes
            ? 'They were created a few minutes ago. No code is needed to show them yet.'
            : 'Enter a code from your app, or a recovery code, to show them.'}
        </p>
        <Form action={`${PATH}/recovery-codes`}>
          {!showsCodes && proofFields(formState.errors)}
          <button type="submit">Show recovery codes</button>
        </Form>
      </section>
      <section aria-labelledby="change">
        <h2 id="change">Change it</h2>
        <p>The next page asks for a code.</p>
        <div class="row">
          <Action action={`${PATH}/recovery-codes/replace`} label="Create new recovery codes" />
          <Action action={`${PATH}/enable`} label="Replace the second factor" values={{ force: '1' }} />
          <Action action={`${PATH}/disable`} label="Remove the second factor" isDangerous />
        </div>
      </section>
    </>
  )
}

/** The recovery codes, shown after a valid code. */
export function RecoveryCodes({ codes }: { codes: readonly string[] }) {
  return (
    <section>
      <RecoveryCodeList codes={codes} />
      <p>
        <Link class="button quiet" to={PATH}>
          I have saved them
        </Link>
      </p>
    </section>
  )
}

const IS_REQUIRED = (
  <p>
    Your account requires a second factor. Until you have confirmed a new one, you cannot use anything else
    here, and your tokens are refused.
  </p>
)

/** The confirmation of discarding an unconfirmed second factor. */
export const DISCARD_CONFIRMATION: Confirmation = {
  title: 'Discard the second factor?',
  active: 'Second factor',
  content: <p>Its secret and recovery codes will be deleted. You can then delete the entry in your app.</p>,
  button: 'Discard',
  back: PATH,
}

/** Builds the confirmation of removing the second factor. */
export const buildDisableConfirmation = ({
  isRequired,
  takesCode,
}: {
  /** Whether the user must have a second factor. */
  isRequired: boolean
  takesCode: boolean
}): Confirmation => ({
  title: 'Remove the second factor?',
  active: 'Second factor',
  content: (
    <>
      <p>
        Its secret and recovery codes will be deleted. You will then log in with your password only. We will
        notify you by mail.
      </p>
      {isRequired && IS_REQUIRED}
    </>
  ),
  fields: takesCode ? proofFields : undefined,
  button: 'Remove',
  back: PATH,
})

/** Builds the confirmation of replacing the second factor. */
export const buildReplaceConfirmation = ({ isRequired }: { isRequired: boolean }): Confirmation => ({
  title: 'Replace the second factor?',
  active: 'Second factor',
  content: (
    <>
      <p>
        You will get a new secret and new recovery codes; the current ones become invalid. Until you confirm
        the new secret, your password alone is enough to log in. We will notify you by mail.
      </p>
      {isRequired && IS_REQUIRED}
    </>
  ),
  fields: proofFields,
  button: 'Replace',
  back: PATH,
})

/** The confirmation of replacing the recovery codes. */
export const NEW_CODES_CONFIRMATION: Confirmation = {
  title: 'Create new recovery codes?',
  active: 'Second factor',
  content: <p>The current recovery codes become invalid. The next page shows the new ones.</p>,
  fields: proofFields,
  button: 'Create new codes',
  back: PATH,
}
