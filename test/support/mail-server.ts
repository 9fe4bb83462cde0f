import { type AddressInfo, createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import PostalMime, { type Email } from 'postal-mime'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import type { Test } from 'tap'

export interface MailServer {
  /** For MAIL_URL. */
  url: string
  /** What arrived, in the order in which it did. */
  received: Email[]
  /** Resolves with the next unread mail, once it arrived. */
  next(): Promise<Email>
}

/** A real SMTP server on a free port, which ends with the test. */
export async function startMailServer(t: Test, options: SMTPServerOptions = {}): Promise<MailServer> {
  const received: Email[] = []
  const waiting: (() => void)[] = []
  let taken = 0
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    logger: false,
    onData(stream, _session, done) {
      text(stream)
        .then(source => PostalMime.parse(source))
        .then(mail => {
          received.push(mail)
          for (const resume of waiting.splice(0)) resume()
          done()
        }, done)
    },
    ...options,
  })
  server.on('error', () => {})
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => new Promise<void>(resolve => server.close(resolve)))
  const { port } = server.server.address() as AddressInfo
  return {
    url: `smtp://127.0.0.1:${port}`,
    received,
    async next() {
      for (;;) {
        const mail = received[taken]
        if (mail !== undefined) {
          taken += 1
          return mail
        }
        await new Promise<void>(resolve => waiting.push(resolve))
      }
    },
  }
}

/** A server that takes connections and says nothing; resolves `connected` with the first. */
export async function startSilentServer(t: Test): Promise<{ url: string; connected: Promise<void> }> {
  let hear = () => {}
  const connected = new Promise<void>(resolve => {
    hear = resolve
  })
  const server = createServer(socket => {
    t.teardown(() => socket.destroy())
    socket.on('error', () => {})
    hear()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return { url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`, connected }
}
