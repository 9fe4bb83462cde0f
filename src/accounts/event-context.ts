import { browserName } from '#src/auth/browser-name.ts'
import { displayedAddress } from '#src/limits/client-address.ts'
import type { EventContext } from '#src/mail/security-messages.ts'
import type { Origin } from './caller.ts'

/** The request of an event, as mails describe it. */
export const eventContextOf = ({ clientAddress, userAgent }: Origin, at: number): EventContext => ({
  at,
  from: { address: displayedAddress(clientAddress), program: browserName(userAgent) },
})
