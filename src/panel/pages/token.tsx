import {
  Action,
  Agent,
  BLANK,
  FaultsOf,
  Field,
  Form,
  Moment,
  OwnPassword,
  type Returned,
  Secret,
} from '../elements.tsx'
import { TOKENS_PATH, tokenPath } from '../paths.ts'
import { type ShownToken, Terms } from './token-terms.tsx'

/** A token that was just issued: the only page that ever has its secret. `token` is null if it is revoked already. */
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
      <p>Copy it now: it is shown this once, and stored nowhere.</p>
      <Secret id="secret" text={plain} about="the token" />
      <p>Programs send it with each request:</p>
      <pre>{`Authorization: Bearer ${plain}`}</pre>
      {token !== null && (
        <dl>
          <Terms token={token} />
        </dl>
      )}
      <p>
        <a class="button quiet" href={TOKENS_PATH}>
          I have copied it
        </a>
      </p>
    </section>
  )
}

/** One token, with all that can be done to it. */
export function Token({
  token,
  returned,
  owesPassword,
}: {
  token: ShownToken
  /** What came back, and which of the page's forms it was. */
  returned: { rename?: Returned; rotate?: Returned }
  owesPassword: boolean
}) {
  const path = tokenPath(token.id)
  return (
    <>
      <About token={token} />
      <section aria-labelledby="rename">
        <h2 id="rename">Rename it</h2>
        <Form action={`${path}/rename`}>
          <Field name="name" label="Name" value={token.name} isRequired returned={returned.rename} />
          <button type="submit">Rename</button>
        </Form>
      </section>
      <section aria-labelledby="rotate">
        <h2 id="rotate">Replace it</h2>
        <p>Another token takes over its name, what it allows and when it ends.</p>
        <Form action={`${path}/rotate`}>
          <Field
            name="grace"
            label="Seconds for which the old one still counts"
            type="number"
            value="0"
            returned={returned.rotate ?? BLANK}
          />
          <FaultsOf id="token" faults={returned.rotate?.faults.token ?? []} />
          {owesPassword && <OwnPassword returned={returned.rotate} />}
          <button type="submit">Replace it</button>
        </Form>
      </section>
      <p>
        <a href={TOKENS_PATH}>Back to all tokens</a>
      </p>
    </>
  )
}

function About({ token }: { token: ShownToken }) {
  return (
    <section aria-labelledby="about">
      <h2 id="about">About it</h2>
      <dl>
        <dt>Begins with</dt>
        <dd>
          <code>{`${token.id}|`}</code>
        </dd>
        <Terms token={token} />
        <dt>Created</dt>
        <dd>
          <Moment at={token.created_at} />
        </dd>
        <dt>Last used</dt>
        <dd>
          <Moment at={token.last_used_at} />
          {token.last_used_at !== null && (
            <>
              {' '}
              from {token.last_used_ip ?? 'an unknown address'} by <Agent text={token.last_used_agent} />
            </>
          )}
        </dd>
      </dl>
      <Action action={`${tokenPath(token.id)}/revoke`} label="Revoke" about={token.name} isGrave />
    </section>
  )
}
