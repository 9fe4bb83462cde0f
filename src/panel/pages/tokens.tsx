import { ABILITIES } from '#src/auth/ability.ts'
import { millisToIso } from '#src/auth/time.ts'
import { CUSTOM, PRESETS } from '../ability-presets.ts'
import {
  Action,
  CurrentPasswordField,
  Field,
  FieldErrorText,
  Form,
  type FormState,
  Link,
  Timestamp,
} from '../elements.tsx'
import { NEW_TOKEN_PATH, REVOKE_ALL_TOKENS_PATH, tokenPath } from '../paths.ts'
import type { TokenExpiry } from '../token-expiry.ts'
import { Expiry, type ShownToken } from './token-terms.tsx'

/** The list of a user's tokens, with the form for a new one. */
export function Tokens({
  tokens,
  formState,
  owesPassword,
  defaultExpiry,
}: {
  tokens: readonly ShownToken[]
  /** The expiry of a new token without its own date. */
  defaultExpiry: TokenExpiry
  formState: FormState
  owesPassword: boolean
}) {
  return (
    <>
      {tokens.length === 0 ? (
        <section>
          <p>You have no tokens. Programs need a token to use the API on your behalf.</p>
        </section>
      ) : (
        <ul class="list">
          {tokens.map(token => (
            <TokenLine token={token} key={token.id} />
          ))}
        </ul>
      )}
      <section aria-labelledby="new-token">
        <h2 id="new-token">New token</h2>
        <NewToken formState={formState} owesPassword={owesPassword} defaultExpiry={defaultExpiry} />
      </section>
      {tokens.length > 1 && <Action action={REVOKE_ALL_TOKENS_PATH} label="Revoke all tokens" isDangerous />}
    </>
  )
}

function TokenLine({ token }: { token: ShownToken }) {
  return (
    <li>
      <div>
        <p class="name">
          <Link to={tokenPath(token.id)}>{token.name}</Link>
        </p>
        <p class="hint">
          Last used: <Timestamp at={token.last_used_at} />
          {token.last_used_ip !== null && ` from ${token.last_used_ip}`}
        </p>
        <p class="hint">
          Expires: <Expiry expiry={token.expiry} />
        </p>
      </div>
      <Action action={`${tokenPath(token.id)}/revoke`} label="Revoke" about={token.name} isDangerous />
    </li>
  )
}

/** Describes the expiry of a token that is not issued yet. */
const describeExpiry = ({ at, isIdle }: TokenExpiry): string =>
  at === null
    ? 'the token never expires'
    : `the token expires on ${millisToIso(at).slice(0, 10)}${isIdle ? ' unless used before' : ''}`

function NewToken({
  formState,
  owesPassword,
  defaultExpiry,
}: {
  formState: FormState
  owesPassword: boolean
  defaultExpiry: TokenExpiry
}) {
  return (
    <Form action={NEW_TOKEN_PATH}>
      <Field
        name="name"
        label="Name"
        hint="The program or machine that will use the token."
        isRequired
        formState={formState}
      />
      <AbilityFields formState={formState} />
      <Field
        name="expires_at"
        label="Expires on"
        type="date"
        hint={`At 00:00 UTC on that day. If empty, ${describeExpiry(defaultExpiry)}.`}
        formState={formState}
      />
      <Field
        name="allowed_ips"
        label="Allowed IP addresses"
        lines={2}
        hint="Addresses or ranges such as 192.0.2.0/24, one per line. If empty, all addresses are allowed."
        formState={formState}
      />
      {owesPassword && <CurrentPasswordField formState={formState} />}
      <button type="submit">Create token</button>
    </Form>
  )
}

/** The fields for the abilities of a new token: a preset, or single abilities. */
function AbilityFields({ formState: { values, errors } }: { formState: FormState }) {
  const chosen = Array.isArray(values.abilities) ? values.abilities : []
  const scope = values.scope ?? CUSTOM
  const isFaulty = errors.scope !== undefined || errors.abilities !== undefined
  return (
    <fieldset aria-describedby={isFaulty ? 'abilities-error' : undefined}>
      <legend>Abilities</legend>
      <FieldErrorText id="abilities" errors={[...(errors.scope ?? []), ...(errors.abilities ?? [])]} />
      {Object.entries(PRESETS).map(([name, { label, about }]) => (
        <p key={name}>
          <label>
            <input type="radio" name="scope" value={name} checked={scope === name} />
            {label}
            <span class="hint">: {about}</span>
          </label>
        </p>
      ))}
      <p>
        <label>
          <input type="radio" name="scope" value={CUSTOM} checked={scope === CUSTOM} />
          Custom
          <span class="hint">
            : only the abilities selected below; with none, the token only identifies you
          </span>
        </label>
      </p>
      <ul class="choices">
        {Object.entries(ABILITIES).map(([ability, about]) => (
          <li key={ability}>
            <label>
              <input type="checkbox" name="abilities[]" value={ability} checked={chosen.includes(ability)} />
              <code>{ability}</code>
              <span class="hint"> {about}</span>
            </label>
          </li>
        ))}
      </ul>
    </fieldset>
  )
}
