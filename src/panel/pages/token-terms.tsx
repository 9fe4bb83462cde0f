import { ALL_ABILITIES } from '#src/auth/ability.ts'
import { parseAllowedIps } from '#src/auth/address-list.ts'
import { parseAbilities } from '#src/auth/token.ts'
import { Moment } from '../elements.tsx'
import type { TokenEnd } from '../token-end.ts'

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

/** What a token allows, from where and until when. */
export function Terms({ token }: { token: ShownToken }) {
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

/** When a token ends, and whether that is past or near. */
export function Ends({ end: { at, isIdle, state } }: { end: TokenEnd }) {
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
