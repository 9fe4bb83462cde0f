import type { Confirmation } from '../confirmation-form.ts'
import { type Faults, Form } from '../elements.tsx'

/** Asks before something is done, in a form that sends the same fields once more. */
export function ConfirmationPage({
  question: { content, aside, fields: entry, button, back },
  action,
  fields,
  seen,
  faults,
}: {
  question: Confirmation
  action: string
  fields: readonly [name: string, value: string][]
  /** What tells the question that was read. */
  seen: string
  /** What was wrong with what was entered. */
  faults: Faults
}) {
  return (
    <section>
      {content}
      {aside}
      <Form action={action}>
        {fields.map(([name, value]) => (
          <input type="hidden" name={name} value={value} key={name} />
        ))}
        <input type="hidden" name="_seen" value={seen} />
        <input type="hidden" name="confirmed" value="1" />
        {entry?.(faults)}
        <div class="row">
          <button type="submit" class="grave">
            {button}
          </button>
          <a class="button quiet" href={back}>
            No, go back
          </a>
        </div>
      </Form>
    </section>
  )
}
