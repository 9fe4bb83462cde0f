import type { Confirmation } from '../confirmation-form.ts'
import { TOKENS_PATH } from '../paths.ts'

/** How many tokens are listed by name. */
const MAX_LISTED = 50

interface NamedToken {
  id: number
  name: string
}

function TokenNames({ tokens }: { tokens: readonly NamedToken[] }) {
  return (
    <ul>
      {tokens.slice(0, MAX_LISTED).map(({ id, name }) => (
        <li key={id}>
          <span class="name">{name}</span> <span class="hint">{`(begins with ${id}|)`}</span>
        </li>
      ))}
      {tokens.length > MAX_LISTED && <li>{`and ${tokens.length - MAX_LISTED} more`}</li>}
    </ul>
  )
}

const CONSEQUENCE = 'Programs that use them lose access. This cannot be undone.'

/** Builds the confirmation of a token's revocation, with the tokens that are revoked with it. */
export function buildRevocationConfirmation(token: NamedToken, ending: readonly NamedToken[]): Confirmation {
  const others = ending.filter(({ id }) => id !== token.id)
  return {
    title: `Revoke “${token.name}”?`,
    active: 'Tokens',
    content:
      others.length === 0 ? (
        <p>Programs that use this token lose access. This cannot be undone.</p>
      ) : (
        <>
          <p>{`${ending.length} tokens will be revoked: this one, and the tokens that were issued with it:`}</p>
          <TokenNames tokens={others} />
          <p>{CONSEQUENCE}</p>
        </>
      ),
    button: others.length === 0 ? 'Revoke token' : `Revoke ${ending.length} tokens`,
    back: TOKENS_PATH,
  }
}

/** Builds the confirmation of revoking all tokens of the user. */
export const buildRevokeAllConfirmation = (ending: readonly NamedToken[]): Confirmation => ({
  title: 'Revoke all tokens?',
  active: 'Tokens',
  content: (
    <>
      <p>{ending.length === 1 ? 'One token will be revoked:' : `${ending.length} tokens will be revoked:`}</p>
      <TokenNames tokens={ending} />
      <p>{CONSEQUENCE}</p>
    </>
  ),
  button: 'Revoke all tokens',
  back: TOKENS_PATH,
})
