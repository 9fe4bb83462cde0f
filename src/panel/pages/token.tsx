import {
  Action,
  CurrentPasswordField,
  EMPTY_FORM,
  Field,
  FieldErrorText,
  Form,
  type FormState,
  Link,
  Secret,
  Timestamp,
  UserAgent,
} from '../elements.tsx'
import { TOKENS_PATH, tokenPath } from '../paths.ts'
import { type ShownToken, Terms } from './token-terms.tsx'

/** A new token: the only page that ever contains its secret. `token` is null if it was revoked in the meantime. */
export function IssuedToken({
  name,
  plain,
  token,
}: {
  name: string
  plain: string
  token: ShownToken | null
}) {
  return (
    <section aria-labelledby="issued">
      <h2 id="issued">{name}</h2>
      <p>Copy the token now. It is shown only once.</p>
      <Secret id="secret" text={plain} about="the token" />
      <p>Programs send it in this header:</p>
      <pre>{`Authorization: Bearer ${plain}`}</pre>
      {token !== null && (
        <dl>
          <Terms token={token} />
        </dl>
      )}
      <p>
        <Link class="button quiet" to={TOKENS_PATH}>
          I have copied it
        </Link>
      </p>
    </section>
  )
}

/** The page of a token, with its actions. */
export function Token({
  token,
  formState,
  owesPassword,
}: {
  token: ShownToken
  /** The form that is shown again with errors. */
  formState: { rename?: FormState; rotate?: FormState }
  owesPassword: boolean
}) {
  const path = tokenPath(token.id)
  return (
    <>
      <About token={token} />
      <section aria-labelledby="rename">
        <h2 id="rename">Rename</h2>
        <Form action={`${path}/rename`}>
          <Field name="name" label="Name" value={token.name} isRequired formState={formState.rename} />
          <button type="submit">Rename</button>
        </Form>
      </section>
      <section aria-labelledby="rotate">
        <h2 id="rotate">Replace</h2>
        <p>Creates a new token with the same name, abilities and expiry, and revokes this one.</p>
        <Form action={`${path}/rotate`}>
          <Field
            name="grace"
            label="Seconds for which the old token remains valid"
            type="number"
            value="0"
            formState={formState.rotate ?? EMPTY_FORM}
          />
          <FieldErrorText id="token" errors={formState.rotate?.errors.token ?? []} />
          {owesPassword && <CurrentPasswordField formState={formState.rotate} />}
          <button type="submit">Replace</button>
        </Form>
      </section>
      <p>
        <Link to={TOKENS_PATH}>All tokens</Link>
      </p>
    </>
  )
}

function About({ token }: { token: ShownToken }) {
  return (
    <section aria-labelledby="about">
      <h2 id="about">Details</h2>
      <dl>
        <dt>Begins with</dt>
        <dd>
          <code>{`${token.id}|`}</code>
        </dd>
        <Terms token={token} />
        <dt>Created</dt>
        <dd>
          <Timestamp at={token.created_at} />
        </dd>
        <dt>Last used</dt>
        <dd>
          <Timestamp at={token.last_used_at} />
          {token.last_used_at !== null && (
            <>
              {' '}
              from {token.last_used_ip ?? 'an unknown address'} by <UserAgent text={token.last_used_agent} />
            </>
          )}
        </dd>
      </dl>
      <Action action={`${tokenPath(token.id)}/revoke`} label="Revoke" about={token.name} isDangerous />
    </section>
  )
}
