import type { TotpQrCode } from '#src/auth/second-factor.ts'
import type { Confirmation } from '../confirmation-form.ts'
import {
  Action,
  BLANK,
  type Faults,
  Field,
  Form,
  Moment,
  OwnPassword,
  type Returned,
  Secret,
} from '../elements.tsx'
import { SECOND_FACTOR_PATH as PATH } from '../paths.ts'

/** What is shown of a second factor that waits to be confirmed. */
export interface PendingFactor {
  secret: string
  qrCode: TotpQrCode
  recoveryCodes: readonly string[]
}

/** Says that the user's account has to have a second factor. */
export function Required() {
  return (
    <section>
      <p>
        Your account has to have a second factor. Until you have confirmed one, nothing else is open to you
        here, and your tokens open nothing.
      </p>
    </section>
  )
}

/** Asks for the password before anything of the second factor is shown or changed. */
export function PasswordFirst({ returned }: { returned: Returned }) {
  return (
    <section class="narrow">
      <p>Enter your password to see and change your second factor.</p>
      <Form action={`${PATH}/password`}>
        <OwnPassword returned={returned} />
        <button type="submit">Go on</button>
      </Form>
    </section>
  )
}

/** What a second factor is, and the form to begin with one. */
export function NoFactor({ returned, owesPassword }: { returned: Returned; owesPassword: boolean }) {
  return (
    <section>
      <p>
        A second factor is an app on your phone that shows another code every thirty seconds, which you enter
        after your password to log in. A person who learns your password cannot log in without it.
      </p>
      <Form action={`${PATH}/enable`}>
        {owesPassword && <OwnPassword returned={returned} />}
        <button type="submit">Set up a second factor</button>
      </Form>
    </section>
  )
}

/** How a second factor is brought into an app, and confirmed; null for one whose secret cannot be read. */
export function UnconfirmedFactor({
  pending,
  returned,
}: {
  pending: PendingFactor | null
  returned: Returned
}) {
  return (
    <>
      {pending === null ? (
        <section>
          <p>The secret of your second factor cannot be shown. Give it up, and set up another one.</p>
        </section>
      ) : (
        <Steps pending={pending} faults={returned.faults} />
      )}
      <Action action={`${PATH}/disable`} label="Give it up" isGrave />
    </>
  )
}

function Steps({
  pending: { secret, qrCode, recoveryCodes },
  faults,
}: {
  pending: PendingFactor
  faults: Faults
}) {
  return (
    <>
      <section aria-labelledby="app">
        <h2 id="app">1. Add it to your authenticator app</h2>
        <p>
          Scan this picture with the app, or <a href={qrCode.url}>open it in an app on this device</a>.
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
        <h2 id="codes">2. Keep the recovery codes</h2>
        <KeepCodes codes={recoveryCodes} />
      </section>
      <section aria-labelledby="confirm">
        <h2 id="confirm">3. Confirm it</h2>
        <p>
          From then on every login asks for a code. All other browsers are logged out, those that stay logged
          in as well; tokens go on. Until then your password alone is enough to log in.
        </p>
        <Form action={`${PATH}/confirm`}>
          <CodeField faults={faults} isRequired />
          <button type="submit">Confirm it</button>
        </Form>
      </section>
    </>
  )
}

/** A field for a code of the app. What was entered before is not shown again: codes count once. */
function CodeField({ faults, isRequired }: { faults: Faults; isRequired?: boolean }) {
  return (
    <Field
      name="code"
      label="Code of your authenticator app"
      autocomplete="one-time-code"
      inputmode="numeric"
      isRequired={isRequired}
      returned={{ ...BLANK, faults }}
    />
  )
}

const proofFields = (faults: Faults) => (
  <>
    <CodeField faults={faults} />
    <Field
      name="recovery_code"
      label="Or a recovery code, which counts once"
      returned={{ ...BLANK, faults }}
    />
  </>
)

function KeepCodes({ codes }: { codes: readonly string[] }) {
  return (
    <>
      <p>
        Each of these codes lets you log in once without the app. Keep them where your phone is not: with
        neither of them you cannot log in.
      </p>
      <Secret id="recovery-codes" text={codes.join('\n')} about="the recovery codes" />
    </>
  )
}

/** A second factor that every login asks for. */
export function ConfirmedFactor({
  since,
  showsCodes,
  returned,
}: {
  since: string | null
  /** Whether the recovery codes are shown without a code. */
  showsCodes: boolean
  returned: Returned
}) {
  return (
    <>
      <section>
        <p>
          Every login asks for a code of your authenticator app since <Moment at={since} />.
        </p>
      </section>
      <section aria-labelledby="codes">
        <h2 id="codes">Recovery codes</h2>
        <p>
          {showsCodes
            ? 'They were made a few minutes ago: to see them takes no code yet.'
            : 'To see them takes a code of your app, or one of them.'}
        </p>
        <Form action={`${PATH}/recovery-codes`}>
          {!showsCodes && proofFields(returned.faults)}
          <button type="submit">Show the recovery codes</button>
        </Form>
      </section>
      <section aria-labelledby="change">
        <h2 id="change">Change it</h2>
        <p>Each of these takes a code, which the next page asks for.</p>
        <div class="row">
          <Action action={`${PATH}/recovery-codes/replace`} label="Make new recovery codes" />
          <Action action={`${PATH}/enable`} label="Replace the second factor" values={{ force: '1' }} />
          <Action action={`${PATH}/disable`} label="Disable the second factor" isGrave />
        </div>
      </section>
    </>
  )
}

/** The recovery codes, for a user who has proven to have the second factor. */
export function RecoveryCodes({ codes }: { codes: readonly string[] }) {
  return (
    <section>
      <KeepCodes codes={codes} />
      <p>
        <a class="button quiet" href={PATH}>
          I have kept them
        </a>
      </p>
    </section>
  )
}

const IS_REQUIRED = (
  <p>
    Your account has to have a second factor: until you have confirmed another one, nothing else is open to
    you here, and your tokens open nothing.
  </p>
)

/** Asks before a second factor that is not confirmed is given up. */
export const ABOUT_GIVING_UP: Confirmation = {
  title: 'Give the second factor up?',
  active: 'Second factor',
  content: (
    <p>Its secret and its recovery codes are deleted. What your app has of it can be deleted there.</p>
  ),
  button: 'Give it up',
  back: PATH,
}

/** Asks before a confirmed second factor is taken away. */
export const aboutDisabling = ({
  isRequired,
  takesCode,
}: {
  /** Whether the account has to have one. */
  isRequired: boolean
  takesCode: boolean
}): Confirmation => ({
  title: 'Disable the second factor?',
  active: 'Second factor',
  content: (
    <>
      <p>
        Its secret and its recovery codes are deleted. From then on your password alone is enough to log in. A
        mail tells you.
      </p>
      {isRequired && IS_REQUIRED}
    </>
  ),
  fields: takesCode ? proofFields : undefined,
  button: 'Disable it',
  back: PATH,
})

/** Asks before a confirmed second factor gives way to another one. */
export const aboutReplacing = ({ isRequired }: { isRequired: boolean }): Confirmation => ({
  title: 'Replace the second factor?',
  active: 'Second factor',
  content: (
    <>
      <p>
        You get another secret and other recovery codes; codes of the present ones count no more. Until a code
        of the new secret has confirmed it, your password alone is enough to log in. A mail tells you.
      </p>
      {isRequired && IS_REQUIRED}
    </>
  ),
  fields: proofFields,
  button: 'Replace it',
  back: PATH,
})

/** Asks before the recovery codes give way to others. */
export const ABOUT_NEW_CODES: Confirmation = {
  title: 'Make new recovery codes?',
  active: 'Second factor',
  content: (
    <p>The present recovery codes count no more, wherever they are kept. You see the new ones next.</p>
  ),
  fields: proofFields,
  button: 'Make new ones',
  back: PATH,
}
