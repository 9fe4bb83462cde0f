import { type AccountMessages, accountMessages } from './account-messages.ts'
import { type SecurityMessages, securityMessages } from './security-messages.ts'
import { mailTemplate } from './template.ts'

/** The mails of one place. */
export type Messages = AccountMessages & SecurityMessages

/**
 * All mails that users get: those by which accounts are opened and changed, and those that tell what happened to one.
 *
 * @param place what the server calls itself
 * @param contact where its operators are reached, as SECURITY_CONTACT has it; null for nowhere that is known
 */
export function messages(place: string, contact: string | null = null): Messages {
  const write = mailTemplate(place)
  const reached = contact === null ? '' : ` (${contact.replace(/^(mailto|tel):/i, '')})`
  return { ...accountMessages(place, write), ...securityMessages(place, write, reached) }
}
