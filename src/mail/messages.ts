import { type AccountMessages, createAccountMessages } from './account-messages.ts'
import { createSecurityMessages, type SecurityMessages } from './security-messages.ts'
import { mailTemplate } from './template.ts'

/** The mails of a site. */
export type Messages = AccountMessages & SecurityMessages

/**
 * Creates all mails to users.
 *
 * @param siteName the name of the site
 * @param contact how users reach its operators (SECURITY_CONTACT); null if unknown
 */
export function createMessages(siteName: string, contact: string | null = null): Messages {
  const write = mailTemplate(siteName)
  const contactNote = contact === null ? '' : ` (${contact.replace(/^(mailto|tel):/i, '')})`
  return {
    ...createAccountMessages(siteName, write),
    ...createSecurityMessages(siteName, write, contactNote),
  }
}
