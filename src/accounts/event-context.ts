import { browserName } from '#src/auth/browser-name.ts'
import { toldAddress } from '#src/limits/client-address.ts'
import type { EventContext } from '#src/mail/security-messages.ts'
import type { Origin } from './caller.ts'

/** What a mail tells of a request by which something happened, at a moment in milliseconds since the epoch. */
export const eventContextOf = ({ clientAddress, userAgent }: Origin, at: number): EventContext => ({
  at,
  from: { address: toldAddress(clientAddress), program: browserName(userAgent) },
})
