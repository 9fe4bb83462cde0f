import { ABILITIES } from '#src/auth/ability.ts'
import { millisToIso } from '#src/auth/time.ts'
import { Action, FaultsOf, Field, Form, Moment, OwnPassword, type Returned } from '../elements.tsx'
import { NEW_TOKEN_PATH, REVOKE_ALL_TOKENS_PATH, tokenPath } from '../paths.ts'
import type { TokenEnd } from '../token-end.ts'
import { PRESETS, TICKED } from '../token-scopes.ts'
import { Ends, type ShownToken } from './token-terms.tsx'

/** A user's tokens, and the form for another one. */
export function Tokens({
  tokens,
  returned,
  owesPassword,
  endWithoutDate,
}: {
  tokens: readonly ShownToken[]
  /** When a new token ends that is given no date of its own. */
  endWithoutDate: TokenEnd
  returned: Returned
  owesPassword: boolean
}) {
  return (
    <>
      {tokens.length === 0 ? (
        <section>
          <p>You have no tokens. Programs that use the API in your name need one.</p>
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
        <NewToken returned={returned} owesPassword={owesPassword} endWithoutDate={endWithoutDate} />
      </section>
      {tokens.length > 1 && <Action action={REVOKE_ALL_TOKENS_PATH} label="Revoke all tokens" isGrave />}
    </>
  )
}

function TokenLine({ token }: { token: ShownToken }) {
  return (
    <li>
      <div>
        <p class="name">
          <a href={tokenPath(token.id)}>{token.name}</a>
        </p>
        <p class="hint">
          Last used: <Moment at={token.last_used_at} />
          {token.last_used_ip !== null && ` from ${token.last_used_ip}`}
        </p>
        <p class="hint">
          Ends: <Ends end={token.end} />
        </p>
      </div>
      <Action action={`${tokenPath(token.id)}/revoke`} label="Revoke" about={token.name} isGrave />
    </li>
  )
}

/** When a token ends that is still to be issued, in words. */
const endOf = ({ at, isIdle }: TokenEnd): string =>
  at === null
    ? 'it never ends'
    : `it ends on ${millisToIso(at).slice(0, 10)}${isIdle ? ' if it is not used before' : ''}`

function NewToken({
  returned,
  owesPassword,
  endWithoutDate,
}: {
  returned: Returned
  owesPassword: boolean
  endWithoutDate: TokenEnd
}) {
  return (
    <Form action={NEW_TOKEN_PATH}>
      <Field
        name="name"
        label="Name"
        hint="What it is for: a program, or a machine."
        isRequired
        returned={returned}
      />
      <Scope returned={returned} />
      <Field
        name="expires_at"
        label="Ends on"
        type="date"
        hint={`At the beginning of that day, in UTC. Left empty, ${endOf(endWithoutDate)}.`}
        returned={returned}
      />
      <Field
        name="allowed_ips"
        label="From these addresses only"
        lines={2}
        hint="Addresses and ranges such as 192.0.2.0/24, one a line. Left empty, it may be used from everywhere."
        returned={returned}
      />
      {owesPassword && <OwnPassword returned={returned} />}
      <button type="submit">Generate the token</button>
    </Form>
  )
}

/** What a new token is to allow: one of the presets, or the abilities that are ticked. */
function Scope({ returned: { entered, faults } }: { returned: Returned }) {
  const chosen = Array.isArray(entered.abilities) ? entered.abilities : []
  const scope = entered.scope ?? TICKED
  const isFaulty = faults.scope !== undefined || faults.abilities !== undefined
  return (
    <fieldset aria-describedby={isFaulty ? 'abilities-fault' : undefined}>
      <legend>What it allows</legend>
      <FaultsOf id="abilities" faults={[...(faults.scope ?? []), ...(faults.abilities ?? [])]} />
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
          <input type="radio" name="scope" value={TICKED} checked={scope === TICKED} />
          Only what is ticked here
          <span class="hint">: with nothing ticked, it can do no more than tell who you are</span>
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
