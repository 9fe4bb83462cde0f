import type { ComponentChildren } from 'preact'
import { isYes } from '#src/input/account.ts'
import type { Faults } from './elements.tsx'
import type { Section } from './layout.tsx'

/** What is asked before something is done that cannot be undone. */
export interface Confirmation {
  title: string
  active: Section
  /** What happens, and to whom. */
  content: ComponentChildren
  /** What else there is to know, and may change while it is read. */
  aside?: ComponentChildren
  /** What is to be entered beside the answer, with what was wrong with it. */
  fields?: (faults: Faults) => ComponentChildren
  /** What the button says that has it done. */
  button: string
  /** The page that leaves everything as it is. */
  back: string
}

/**
 * What a form comes to before it is confirmed: a question, or the page that shows that nothing would change; null for
 * what needs no question.
 */
export type Confirmable = Confirmation | { unchanged: string } | null

/** Whether a form says that its user was asked. */
export const isConfirmed = (body: unknown): boolean =>
  isYes((body as { confirmed?: unknown } | null | undefined)?.confirmed)

/** What belongs to one sending of a form, and what no page may carry: passwords, and codes of second factors. */
const LEFT_OUT = new Set([
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

/** The fields of a form as names and values of hidden inputs, without its secrets. */
export const fieldsOf = (body: unknown): [name: string, value: string][] =>
  Object.entries((body ?? {}) as Record<string, unknown>)
    .filter(([name]) => !LEFT_OUT.has(name))
    .flatMap(([name, value]) => inputs(name, value))

function inputs(name: string, value: unknown): [string, string][] {
  if (typeof value !== 'object' || value === null) return [[name, String(value ?? '')]]
  return Object.entries(value).flatMap(([key, one]) => inputs(`${name}[${key}]`, one))
}
