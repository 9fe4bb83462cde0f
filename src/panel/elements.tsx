import { type ComponentChildren, createContext } from 'preact'
import { useContext } from 'preact/hooks'
import { millisToIso, timestampToMillis } from '#src/auth/time.ts'

/** The validation errors of a form, by field name. */
export type FieldErrors = Readonly<Record<string, readonly string[]>>

/** The submitted values of a form. */
export type FormValues = Readonly<Record<string, unknown>>

/** The state of a form that is shown again after validation errors. */
export interface FormState {
  errors: FieldErrors
  values: FormValues
}

/** The state of a form that was not submitted yet. */
export const EMPTY_FORM: FormState = { errors: {}, values: {} }

/** Returns the checked values of a group of checkboxes: those submitted, or else the current ones. */
export const checkedValues = (
  { values }: FormState,
  name: string,
  present: readonly string[],
): readonly unknown[] => {
  if (Object.keys(values).length === 0) return present
  const ticked = values[name]
  return Array.isArray(ticked) ? ticked : []
}

/** What forms and links take from their page. */
interface FormContext {
  /** The session's CSRF token, in every form. */
  _token: string
  /** The idempotency key of the page, in every form; null for none. */
  _once: string | null
  /** The e-mail address of the user, in forms with a password; null for a guest. */
  username: string | null
  /** The path of APP_URL, before every path of a link or form. */
  basePath: string
}

export const FormFields = createContext<FormContext>({
  _token: '',
  _once: null,
  username: null,
  basePath: '',
})

/** Tells password managers whose password a form is about. The server ignores it. */
export function Username() {
  const { username } = useContext(FormFields)
  return username === null ? null : (
    <input type="email" autocomplete="username" value={username} readonly hidden />
  )
}

interface FormProps {
  action: string
  children: ComponentChildren
  class?: string
}

/** Returns a path of this server as browsers request it: below APP_URL. */
export const usePublicPath = (path: string): string => useContext(FormFields).basePath + path

interface LinkProps {
  /** A path of this server. */
  to: string
  children: ComponentChildren
  class?: string
  'aria-current'?: 'page' | undefined
}

/** A link to a page of the panel. */
export function Link({ to, children, class: className, 'aria-current': current }: LinkProps) {
  return (
    <a class={className} href={usePublicPath(to)} aria-current={current}>
      {children}
    </a>
  )
}

/** A POST form with the hidden fields. */
export function Form({ action, children, class: className }: FormProps) {
  const { _token, _once } = useContext(FormFields)
  return (
    <form method="post" action={usePublicPath(action)} class={className}>
      <input type="hidden" name="_token" value={_token} />
      {_once !== null && <input type="hidden" name="_once" value={_once} />}
      {children}
    </form>
  )
}

interface ActionProps {
  action: string
  label: string
  /** The target of the action, for screen readers. */
  about?: string
  values?: Readonly<Record<string, string>>
  isDangerous?: boolean
}

/** A form of one button. */
export function Action({ action, label, about, values = {}, isDangerous = false }: ActionProps) {
  return (
    <Form action={action} class="action">
      {Object.entries(values).map(([name, value]) => (
        <input type="hidden" name={name} value={value} key={name} />
      ))}
      <button type="submit" class={isDangerous ? 'danger' : 'quiet'}>
        {label}
        {about !== undefined && <span class="visually-hidden"> {about}</span>}
      </button>
    </Form>
  )
}

interface FieldProps {
  name: string
  label: string
  formState?: FormState
  type?: 'text' | 'email' | 'password' | 'date' | 'search' | 'number'
  value?: string
  hint?: string
  autocomplete?: string
  isRequired?: boolean
  isFocused?: boolean
  /** Must be set if another form of the page has a field of the same name. */
  id?: string
  lines?: number
  inputmode?: 'numeric'
}

/** A labelled field with hint and errors. */
export function Field({
  name,
  label,
  formState = EMPTY_FORM,
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
  const errors = formState.errors[name] ?? []
  const values = formState.values[name]
  const shown = type === 'password' ? '' : typeof values === 'string' ? values : (value ?? '')
  const notes = [hint !== undefined && `${id}-hint`, errors.length > 0 && `${id}-error`].filter(Boolean)
  const common = {
    id,
    name,
    required: isRequired,
    autofocus: isFocused,
    autocomplete: autocomplete ?? 'off',
    'aria-invalid': errors.length > 0 ? ('true' as const) : undefined,
    'aria-describedby': notes.length > 0 ? notes.join(' ') : undefined,
  }
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {lines === undefined ? (
        // The JSX types do not accept a union of input types.
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
      <FieldErrorText id={id} errors={errors} />
    </div>
  )
}

/** The errors of a field. */
export function FieldErrorText({ id, errors }: { id: string; errors: readonly string[] }) {
  return errors.length === 0 ? null : (
    <p class="error" id={`${id}-error`}>
      {errors.join(' ')}
    </p>
  )
}

/** A secret with a copy button. `id` is its element's, `about` describes it for screen readers. */
export function Secret({ id, text, about }: { id: string; text: string; about: string }) {
  return (
    <>
      <div class="secret">
        <code id={id}>{text}</code>
        <button
          type="button"
          aria-label={`Copy ${about}`}
          data-copy-source={id}
          data-copy-status={`${id}-copied`}
          hidden
        >
          Copy
        </button>
      </div>
      <p id={`${id}-copied`} role="status" />
    </>
  )
}

/** The field for the current password, for forms that need password confirmation. */
export function CurrentPasswordField({ formState, id }: { formState?: FormState; id?: string }) {
  return (
    <>
      <Username />
      <Field
        name="current_password"
        id={id}
        label="Your current password"
        type="password"
        autocomplete="current-password"
        hint="You will be asked again after three hours."
        isRequired
        formState={formState}
      />
    </>
  )
}

/** The fields for a new password, and the choice to revoke tokens. */
export function NewPasswordFields({
  formState,
  revokesTokens = false,
}: {
  formState: FormState
  /** Whether the checkbox is checked by default. */
  revokesTokens?: boolean
}) {
  const isBlank = Object.keys(formState.values).length === 0

  return (
    <>
      <Field
        name="password"
        label="New password"
        type="password"
        autocomplete="new-password"
        hint="At least 8 characters, with upper and lower case letters, a number and a symbol; or at least 15 characters of any kind."
        isRequired
        formState={formState}
      />
      <Field
        name="password_confirmation"
        label="Repeat the new password"
        type="password"
        autocomplete="new-password"
        isRequired
        formState={formState}
      />
      <p class="field">
        <label>
          <input
            type="checkbox"
            name="revoke_tokens"
            value="1"
            checked={isBlank ? revokesTokens : formState.values.revoke_tokens != null}
          />
          Also revoke all my tokens
        </label>
      </p>
    </>
  )
}

/** A time in UTC, to the minute; `never` for null. */
export function Timestamp({ at }: { at: string | number | null }) {
  const millis = typeof at === 'string' ? timestampToMillis(at) : (at ?? Number.NaN)
  if (!Number.isFinite(millis)) return <span class="hint">never</span>
  const text = millisToIso(millis)
  return <time dateTime={text}>{`${text.slice(0, 10)} ${text.slice(11, 16)} UTC`}</time>
}

/** The user agent of a request. */
export function UserAgent({ text }: { text: string | null }) {
  return <span class="agent">{text ?? 'unknown program'}</span>
}
