import { disposableEmailBlocklistSet } from 'disposable-email-domains-js'
import { Type } from 'typebox'
import { canonicalEmail, isEmail } from '#src/auth/email.ts'
import { showsNothing, withoutInvisible } from '#src/auth/name.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { truthOf } from './boolean.ts'

const { rules } = MESSAGES

/** The most characters of a user name. */
export const MAX_NAME = 35
const MAX_EMAIL = 255

/** A text that may be missing: what is said then comes with what else is wrong. */
export const optionalText = (example: string) =>
  Type.Optional(Type.Union([Type.String({ examples: [example] }), Type.Null()]))

/** Whether a box is ticked, by what stands in its field. */
export const isYes = (value: unknown): boolean => truthOf(value) === true

/** The field by which a login asks to be remembered. */
export const Remember = Type.Optional(
  Type.Unknown({
    description:
      'Whether this browser stays logged in when its session ends, for 400 days: `true`, `1`, `on` or `yes`.',
    examples: [true],
  }),
)

/**
 * A user name as it is kept: without invisible characters, and with its letters in their composed form, so that the same
 * name is the same text. Null for one that shows nothing.
 */
export function canonicalName(name: string | null | undefined): string | null {
  const visible = withoutInvisible(name ?? '').trim()
  if (showsNothing(visible)) return null
  // What is too long in any form is refused as it is: composing it takes a time that grows with its square.
  return visible.length > 10 * MAX_NAME ? visible : visible.normalize('NFC')
}

/** An e-mail address that was entered, as it is kept. */
export const enteredEmail = (email: string | null | undefined): string | null =>
  email === null || email === undefined ? null : canonicalEmail(email)

/** What is wrong with a user name, in Laravel's order; nothing when it can be somebody's. */
export function nameErrors(name: string | null): string[] {
  if (name === null) return [rules.required('name')]
  return [
    ...([...name].length > MAX_NAME ? [rules.maxString('name', MAX_NAME)] : []),
    ...(/^[\p{L}\p{M}\p{N}_-]+$/u.test(name) ? [] : [rules.alphaDash('name')]),
  ]
}

/** What is wrong with an e-mail address; nothing when it can be somebody's. */
export function emailErrors(email: string | null): string[] {
  if (email === null) return [rules.required('email')]
  if (email.length > MAX_EMAIL) return [rules.maxString('email', MAX_EMAIL)]
  if (!isEmail(email)) return [rules.email('email')]
  return isDisposable(email) ? [MESSAGES.disposableEmail] : []
}

const DISPOSABLE = disposableEmailBlocklistSet()

/** Whether an address, or any domain above its own, is one of those that are thrown away. */
function isDisposable(email: string): boolean {
  const labels = email.slice(email.lastIndexOf('@') + 1).split('.')
  return labels.some((_, index) => DISPOSABLE.has(labels.slice(index).join('.').toLowerCase()))
}

/** Puts errors together by field, and leaves out fields that have none; null when there are none at all. */
export function errorsByField(errors: Record<string, string[]>): Record<string, string[]> | null {
  const wrong = Object.entries(errors).filter(([, sentences]) => sentences.length > 0)
  return wrong.length === 0 ? null : Object.fromEntries(wrong)
}
