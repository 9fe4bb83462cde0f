import type { Mail } from '#src/mail/mailer.ts'

/** Where the mails of a test arrive. */
export class Mailbox {
  /** In the order in which they arrived. */
  readonly mails: Mail[] = []
  readonly #waiting: (() => void)[] = []
  #taken = 0

  /** Takes a mail in. */
  readonly deliver = async (mail: Mail) => {
    this.mails.push(mail)
    for (const resume of this.#waiting.splice(0)) resume()
  }

  /** The next mail that nobody has taken out yet, once it is there. */
  async next(): Promise<Mail> {
    for (;;) {
      const mail = this.mails[this.#taken]
      if (mail !== undefined) {
        this.#taken += 1
        return mail
      }
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    }
  }
}

/** The link in a mail. */
export function linkIn({ text }: { text: string }): URL {
  const link = /https?:\/\/\S+/.exec(text)?.[0]
  if (link === undefined) throw new Error(`There is no link in this mail:\n${text}`)
  return new URL(link)
}
