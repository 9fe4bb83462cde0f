import { type AccountMessages, accountMessages } from './account-messages.ts'
import { letterhead } from './letter.ts'
import { type SecurityMessages, securityMessages } from './security-messages.ts'

/** The mails of one place. */
export type Messages = AccountMessages & SecurityMessages

/**
 * All mails that users get: those by which accounts are opened and changed, and those that tell what happened to one.
 *
 * @param place what the server calls itself
 */
export function messages(place: string): Messages {
  const write = letterhead(place)
  return { ...accountMessages(place, write), ...securityMessages(place, write) }
}
