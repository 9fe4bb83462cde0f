import type { Confirmation } from '../confirmation-form.ts'
import { type FieldErrors, Form, Link } from '../elements.tsx'

/** The confirmation page: its form submits the same fields again. */
export function ConfirmationPage({
  confirmation: { content, aside, fields: renderFields, button, back },
  action,
  fields,
  seenDigest,
  errors,
}: {
  confirmation: Confirmation
  action: string
  fields: readonly [name: string, value: string][]
  /** The digest of what is confirmed. */
  seenDigest: string
  /** The errors of the additional fields. */
  errors: FieldErrors
}) {
  return (
    <section>
      {content}
      {aside}
      <Form action={action}>
        {fields.map(([name, value]) => (
          <input type="hidden" name={name} value={value} key={name} />
        ))}
        <input type="hidden" name="_seen" value={seenDigest} />
        <input type="hidden" name="confirmed" value="1" />
        {renderFields?.(errors)}
        <div class="row">
          <button type="submit" class="danger">
            {button}
          </button>
          <Link class="button quiet" to={back}>
            Cancel
          </Link>
        </div>
      </Form>
    </section>
  )
}
