import { TOKENS_PATH } from '../paths.ts'

const SENTENCES: Record<number, string> = {
  403: 'You may not do that.',
  404: 'There is no such page, or what it was about is gone.',
  405: 'There is no such page.',
  409: 'It is not known yet what became of this form, which was sent before. Look whether it has done what you wanted.',
  413: 'What was sent is too large.',
  419: 'The form was too old, or its page belongs to another login. Go back, load the page again, and send it once more.',
  429: 'That was too often. Wait a minute, and try again.',
  503: 'The server is busy or cannot reach its database. Try again in a few seconds.',
}

/** The page of whatever cannot be answered otherwise. */
export function Refused({ status, message }: { status: number; message: string }) {
  return (
    <section>
      <p>{SENTENCES[status] ?? 'Something went wrong. The log of the server knows more.'}</p>
      <p class="hint">{`${status} ${message}`}</p>
      <p>
        <a href={TOKENS_PATH}>To the start of the panel</a>
      </p>
    </section>
  )
}
