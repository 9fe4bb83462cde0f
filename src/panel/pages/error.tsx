import { Link } from '../elements.tsx'
import { TOKENS_PATH } from '../paths.ts'

const SENTENCES: Record<number, string> = {
  403: 'You are not allowed to do this.',
  404: 'This page does not exist, or its content was deleted.',
  405: 'This page does not exist.',
  409: 'This form was already submitted and is still being processed. Please check whether it took effect.',
  413: 'The form is too large.',
  419: 'The form has expired, or it belongs to another session. Go back, reload the page and submit it again.',
  429: 'Too many requests. Wait a minute and try again.',
  503: 'The server is overloaded or cannot reach its database. Try again in a few seconds.',
}

/** The page for errors. */
export function ErrorPage({ status, message }: { status: number; message: string }) {
  return (
    <section>
      <p>{SENTENCES[status] ?? 'Something went wrong. The server log has details.'}</p>
      <p class="hint">{`${status} ${message}`}</p>
      <p>
        <Link to={TOKENS_PATH}>Go to the start page</Link>
      </p>
    </section>
  )
}
