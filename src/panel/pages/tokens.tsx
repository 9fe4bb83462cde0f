import { ABILITIES, ALL_ABILITIES } from '#src/auth/ability.ts'
import { parseAllowedIps } from '#src/auth/address-list.ts'
import { millisToIso } from '#src/auth/time.ts'
import { parseAbilities } from '#src/auth/token.ts'
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
import { NEW_TOKEN_PATH, REVOKE_ALL_TOKENS_PATH, TOKENS_PATH, tokenPath } from '../paths.ts'
import type { TokenEnd } from '../token-end.ts'
import { PRESETS, TICKED } from '../token-scopes.ts'

/** A token as its row has it, and when it ends. */
export interface ShownToken {
  id: number
  name: string
  abilities: string | null
  allowed_ips: string | null
  last_used_at: string | null
  last_used_ip: string | null
  last_used_agent: string | null
  expires_at: string | null
  created_at: string | null
  end: TokenEnd
}

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

/** When a token ends, and whether that is past or near. */
function Ends({ end: { at, isIdle, state } }: { end: TokenEnd }) {
  if (at === null) return <>never</>
  return (
    <>
      {Number.isFinite(at) ? <Moment at={at} /> : 'at a time that cannot be read'}
      {isIdle && ' if it is not used before'}
      {state !== null && (
        <>
          {' '}
          <span class={state === 'expired' ? 'tag grave' : 'tag'}>{state}</span>
        </>
      )}
    </>
  )
}

/** The same in words, for a token that is still to be made. */
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
  const { entered, faults } = returned
  const chosen = Array.isArray(entered.abilities) ? entered.abilities : []
  const scope = entered.scope ?? TICKED
  const isFaulty = faults.scope !== undefined || faults.abilities !== undefined
  return (
    <Form action={NEW_TOKEN_PATH}>
      <Field
        name="name"
        label="Name"
        hint="What it is for: a program, or a machine."
        isRequired
        returned={returned}
      />
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
                <input
                  type="checkbox"
                  name="abilities[]"
                  value={ability}
                  checked={chosen.includes(ability)}
                />
                <code>{ability}</code>
                <span class="hint"> {about}</span>
              </label>
            </li>
          ))}
        </ul>
      </fieldset>
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

/** What a token allows, from where and until when. */
function Terms({ token }: { token: ShownToken }) {
  const abilities = parseAbilities(token.abilities)
  const addresses = parseAllowedIps(token.allowed_ips)
  return (
    <>
      <dt>Allows</dt>
      <dd>
        {abilities.includes(ALL_ABILITIES)
          ? 'everything that you may do'
          : abilities.length === 0
            ? 'nothing but to tell who you are'
            : abilities.map(ability => (
                <span class="tag" key={ability}>
                  {ability}
                </span>
              ))}
      </dd>
      <dt>From</dt>
      <dd>{addresses === null ? 'everywhere' : addresses.join(', ') || 'nowhere'}</dd>
      <dt>Ends</dt>
      <dd>
        <Ends end={token.end} />
      </dd>
    </>
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
        <Action action={`${path}/revoke`} label="Revoke" about={token.name} isGrave />
      </section>
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
