import { ALL_ABILITIES } from '#src/auth/ability.ts'
import { parseAllowedIps } from '#src/auth/address-list.ts'
import { parseAbilities } from '#src/auth/token.ts'
import { Timestamp } from '../elements.tsx'
import type { TokenExpiry } from '../token-expiry.ts'

/** The row of a token, with its expiry. */
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
  expiry: TokenExpiry
}

/** The abilities, allowed addresses and expiry of a token. */
export function Terms({ token }: { token: ShownToken }) {
  const abilities = parseAbilities(token.abilities)
  const addresses = parseAllowedIps(token.allowed_ips)
  return (
    <>
      <dt>Abilities</dt>
      <dd>
        {abilities.includes(ALL_ABILITIES)
          ? 'full access'
          : abilities.length === 0
            ? 'none (identifies you only)'
            : abilities.map(ability => (
                <span class="tag" key={ability}>
                  {ability}
                </span>
              ))}
      </dd>
      <dt>Allowed addresses</dt>
      <dd>{addresses === null ? 'all' : addresses.join(', ') || 'none'}</dd>
      <dt>Expires</dt>
      <dd>
        <Expiry expiry={token.expiry} />
      </dd>
    </>
  )
}

/** The expiry of a token, marked if it is past or near. */
export function Expiry({ expiry: { at, isIdle, state } }: { expiry: TokenExpiry }) {
  if (at === null) return <>never</>
  return (
    <>
      {Number.isFinite(at) ? <Timestamp at={at} /> : 'unknown (the stored date is invalid)'}
      {isIdle && ' unless used before'}
      {state !== null && (
        <>
          {' '}
          <span class={state === 'expired' ? 'tag danger' : 'tag'}>{state}</span>
        </>
      )}
    </>
  )
}
