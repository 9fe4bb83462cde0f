import type { Confirmation } from '../confirmation-form.ts'
import { TOKENS_PATH } from '../paths.ts'

/** Of so many tokens the names are told. */
const TOLD = 50

interface NamedToken {
  id: number
  name: string
}

function TokenNames({ tokens }: { tokens: readonly NamedToken[] }) {
  return (
    <ul>
      {tokens.slice(0, TOLD).map(({ id, name }) => (
        <li key={id}>
          <span class="name">{name}</span> <span class="hint">{`(begins with ${id}|)`}</span>
        </li>
      ))}
      {tokens.length > TOLD && <li>{`and ${tokens.length - TOLD} more`}</li>}
    </ul>
  )
}

const REFUSED = 'Programs that use them are refused from then on. This cannot be undone.'

/** Asks before a token is revoked, with which others may end. */
export function aboutRevoking(token: NamedToken, ending: readonly NamedToken[]): Confirmation {
  const others = ending.filter(({ id }) => id !== token.id)
  return {
    title: `Revoke “${token.name}”?`,
    active: 'Tokens',
    content:
      others.length === 0 ? (
        <p>The token ends at once. A program that uses it is refused from then on. This cannot be undone.</p>
      ) : (
        <>
          <p>{`${ending.length} tokens end at once: this one, and those that descend from it:`}</p>
          <TokenNames tokens={others} />
          <p>{REFUSED}</p>
        </>
      ),
    button: others.length === 0 ? 'Revoke the token' : `Revoke ${ending.length} tokens`,
    back: TOKENS_PATH,
  }
}

/** Asks before all tokens of the user who asks are revoked. */
export const aboutRevokingAll = (ending: readonly NamedToken[]): Confirmation => ({
  title: 'Revoke all tokens?',
  active: 'Tokens',
  content: (
    <>
      <p>{ending.length === 1 ? 'One token ends at once:' : `${ending.length} tokens end at once:`}</p>
      <TokenNames tokens={ending} />
      <p>{REFUSED}</p>
    </>
  ),
  button: 'Revoke all tokens',
  back: TOKENS_PATH,
})
