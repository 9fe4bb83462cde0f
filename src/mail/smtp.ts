import { createTransport } from 'nodemailer'
import { isLoopback } from '#src/auth/origin.ts'
import type { Deliver } from './mailer.ts'

const TIMEOUT_MS = 10_000

/**
 * Delivers mail to an SMTP server. It logs in over TLS alone, unless the server is this machine.
 *
 * @param url `smtp://` or `smtps://`, with user and password if the server asks for them
 * @param from the sender: an address, with or without a name
 */
export function smtpDelivery(url: string, from: string): Deliver {
  const server = new URL(url)
  const transport = createTransport({
    url,
    requireTLS: (server.username !== '' || server.password !== '') && !isLoopback(server),
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return async ({ to, subject, text, html }) => {
    await transport.sendMail({ from, to, subject, text, html })
  }
}
