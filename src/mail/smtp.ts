import { isLoopback } from '#src/auth/origin.ts'
import { lazy } from '#src/runtime/lazy.ts'
import type { Millis } from '#src/runtime/units.ts'
import type { Deliver } from './mailer.ts'

const TIMEOUT_MS: Millis = 10_000

/**
 * Delivers mail to an SMTP server. Credentials are sent only over TLS, except to the loopback interface.
 *
 * @param url `smtp://` or `smtps://`, with user and password if the server requires them
 * @param from the sender: an address, with or without a name
 */
export function createSmtpDelivery(url: string, from: string): Deliver {
  const server = new URL(url)
  // Loaded with the first mail, because many servers send none and loading takes time at the start.
  const transport = lazy(async () => {
    const { createTransport } = await import('nodemailer')
    return createTransport({
      url,
      requireTLS: (server.username !== '' || server.password !== '') && !isLoopback(server),
      connectionTimeout: TIMEOUT_MS,
      greetingTimeout: TIMEOUT_MS,
      socketTimeout: TIMEOUT_MS,
      disableFileAccess: true,
      disableUrlAccess: true,
    })
  })
  return async ({ to, subject, text, html }) => {
    await (await transport()).sendMail({ from, to, subject, text, html })
  }
}
