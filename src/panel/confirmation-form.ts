import type { ComponentChildren } from 'preact'
import { isTicked } from '#src/input/account.ts'
import type { FieldErrors } from './elements.tsx'
import type { Section } from './layout.tsx'

/** The content of a confirmation page. */
export interface Confirmation {
  title: string
  active: Section
  /** Describes the action and its target. Part of the digest that is confirmed. */
  content: ComponentChildren
  /** Further information, not part of the digest: it may change while the user reads it. */
  aside?: ComponentChildren
  /** Renders additional fields of the form, with their errors. */
  fields?: (errors: FieldErrors) => ComponentChildren
  /** The label of the confirming button. */
  button: string
  /** The page to return to without the action. */
  back: string
}

/**
 * The result of an unconfirmed form: a confirmation page, or a redirect if nothing would change; null if no confirmation
 * is needed.
 */
export type Confirmable = Confirmation | { unchanged: string } | null

/** Whether a form is confirmed. */
export const isConfirmed = (body: unknown): boolean =>
  isTicked((body as { confirmed?: unknown } | null | undefined)?.confirmed)

/** Fields that are not repeated: those of a single submission, and secrets, which no page may contain. */
const EXCLUDED_FIELDS = new Set([
  '_token',
  '_once',
  '_seen',
  'confirmed',
  'password',
  'password_confirmation',
  'current_password',
  'code',
  'recovery_code',
])

/** Returns the fields of a form as names and values of hidden inputs, without secrets. */
export const fieldsOf = (body: unknown): [name: string, value: string][] =>
  Object.entries((body ?? {}) as Record<string, unknown>)
    .filter(([name]) => !EXCLUDED_FIELDS.has(name))
    .flatMap(([name, value]) => inputs(name, value))

function inputs(name: string, value: unknown): [string, string][] {
  if (typeof value !== 'object' || value === null) return [[name, String(value ?? '')]]
  return Object.entries(value).flatMap(([key, one]) => inputs(`${name}[${key}]`, one))
}
