import { type ComponentChildren, createContext } from 'preact'
import { useContext } from 'preact/hooks'
import { millisToIso, timestampToMillis } from '#src/auth/time.ts'

/** What is wrong with a form, by the names of its fields. */
export type Faults = Readonly<Record<string, readonly string[]>>

/** What was entered, to be shown again. */
export type Entered = Readonly<Record<string, unknown>>

/** A form that came back: what is wrong with it, and what was entered. */
export interface Returned {
  faults: Faults
  entered: Entered
}

/** A form that nobody has filled in yet. */
export const BLANK: Returned = { faults: {}, entered: {} }

/** Which boxes of a name are ticked: as the form came back, or as things are. */
export const tickedOf = (
  { entered }: Returned,
  name: string,
  present: readonly string[],
): readonly unknown[] => {
  if (Object.keys(entered).length === 0) return present
  const ticked = entered[name]
  return Array.isArray(ticked) ? ticked : []
}

/** What every form of a page carries: the session's CSRF token, and what makes it the form of that page alone. */
export const FormFields = createContext<{ _token: string; _once: string | null }>({ _token: '', _once: null })

interface FormProps {
  action: string
  children: ComponentChildren
  class?: string
}

/** A form that changes something, once, with the session's CSRF token. */
export function Form({ action, children, class: className }: FormProps) {
  const { _token, _once } = useContext(FormFields)
  return (
    <form method="post" action={action} class={className}>
      <input type="hidden" name="_token" value={_token} />
      {_once !== null && <input type="hidden" name="_once" value={_once} />}
      {children}
    </form>
  )
}

interface ActionProps {
  action: string
  label: string
  /** What it is done to, for who hears the button without seeing the row. */
  about?: string
  values?: Readonly<Record<string, string>>
  isGrave?: boolean
}

/** A form of one button. */
export function Action({ action, label, about, values = {}, isGrave = false }: ActionProps) {
  return (
    <Form action={action} class="action">
      {Object.entries(values).map(([name, value]) => (
        <input type="hidden" name={name} value={value} key={name} />
      ))}
      <button type="submit" class={isGrave ? 'grave' : 'quiet'}>
        {label}
        {about !== undefined && <span class="unseen"> {about}</span>}
      </button>
    </Form>
  )
}

interface FieldProps {
  name: string
  label: string
  returned?: Returned
  type?: 'text' | 'email' | 'password' | 'date' | 'search' | 'number'
  value?: string
  hint?: string
  autocomplete?: string
  isRequired?: boolean
  isFocused?: boolean
  /** Told apart from fields of the same name in other forms of the page. */
  id?: string
  lines?: number
  inputmode?: 'numeric'
}

/** A labelled field, with what is wrong with it. */
export function Field({
  name,
  label,
  returned = BLANK,
  type = 'text',
  value,
  hint,
  autocomplete,
  isRequired = false,
  isFocused = false,
  id = name,
  lines,
  inputmode,
}: FieldProps) {
  const faults = returned.faults[name] ?? []
  const entered = returned.entered[name]
  const shown = type === 'password' ? '' : typeof entered === 'string' ? entered : (value ?? '')
  const notes = [hint !== undefined && `${id}-hint`, faults.length > 0 && `${id}-fault`].filter(Boolean)
  const common = {
    id,
    name,
    required: isRequired,
    autofocus: isFocused,
    autocomplete: autocomplete ?? 'off',
    'aria-invalid': faults.length > 0 ? ('true' as const) : undefined,
    'aria-describedby': notes.length > 0 ? notes.join(' ') : undefined,
  }
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {lines === undefined ? (
        // The types know each kind of field by itself, and not one of several.
        <input {...common} type={type as 'text'} value={shown} inputmode={inputmode} />
      ) : (
        <textarea {...common} rows={lines}>
          {shown}
        </textarea>
      )}
      {hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      <FaultsOf id={id} faults={faults} />
    </div>
  )
}

/** What is wrong with a field. */
export function FaultsOf({ id, faults }: { id: string; faults: readonly string[] }) {
  return faults.length === 0 ? null : (
    <p class="fault" id={`${id}-fault`}>
      {faults.join(' ')}
    </p>
  )
}

/** A text that is to be copied; `id` is that of its element, `about` says what it is. */
export function Secret({ id, text, about }: { id: string; text: string; about: string }) {
  return (
    <>
      <div class="secret">
        <code id={id}>{text}</code>
        <button type="button" aria-label={`Copy ${about}`} data-copies={id} data-says={`${id}-copied`} hidden>
          Copy
        </button>
      </div>
      <p id={`${id}-copied`} role="status" />
    </>
  )
}

/** Asks for the password, for what a confirmed one is needed for. */
export function OwnPassword({ returned, id }: { returned?: Returned; id?: string }) {
  return (
    <Field
      name="current_password"
      id={id}
      label="Your password"
      type="password"
      autocomplete="current-password"
      hint="Asked for again three hours later."
      isRequired
      returned={returned}
    />
  )
}

/** The fields for another password, and what becomes of the tokens. */
export function NewPasswordFields({
  returned,
  revokesTokens = false,
}: {
  returned: Returned
  /** Whether tokens are revoked unless that is unticked. */
  revokesTokens?: boolean
}) {
  const isBlank = Object.keys(returned.entered).length === 0

  return (
    <>
      <Field
        name="password"
        label="The new password"
        type="password"
        autocomplete="new-password"
        hint="At least 8 characters, with upper and lower case, a number and a symbol."
        isRequired
        returned={returned}
      />
      <Field
        name="password_confirmation"
        label="The new password again"
        type="password"
        autocomplete="new-password"
        isRequired
        returned={returned}
      />
      <p class="field">
        <label>
          <input
            type="checkbox"
            name="revoke_tokens"
            value="1"
            checked={isBlank ? revokesTokens : returned.entered.revoke_tokens != null}
          />
          Revoke all my tokens as well
        </label>
      </p>
    </>
  )
}

/** A moment in UTC, to the minute; `never` for none. */
export function Moment({ at }: { at: string | number | null }) {
  const millis = typeof at === 'string' ? timestampToMillis(at) : (at ?? Number.NaN)
  if (!Number.isFinite(millis)) return <span class="hint">never</span>
  const text = millisToIso(millis)
  return <time dateTime={text}>{`${text.slice(0, 10)} ${text.slice(11, 16)} UTC`}</time>
}

/** The program that somebody used, as it calls itself. */
export function Agent({ text }: { text: string | null }) {
  return <span class="agent">{text ?? 'unknown program'}</span>
}
