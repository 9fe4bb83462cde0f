import { type AccountMessages, accountMessages } from './account-messages.ts'
import { type SecurityMessages, securityMessages } from './security-messages.ts'
import { mailTemplate } from './template.ts'

/** The mails of a site. */
export type Messages = AccountMessages & SecurityMessages

/**
 * Creates all mails to users.
 *
 * @param place the name of the site
 * @param contact how users reach its operators (SECURITY_CONTACT); null if unknown
 */
export function messages(place: string, contact: string | null = null): Messages {
  const write = mailTemplate(place)
  const reached = contact === null ? '' : ` (${contact.replace(/^(mailto|tel):/i, '')})`
  return { ...accountMessages(place, write), ...securityMessages(place, write, reached) }
}
