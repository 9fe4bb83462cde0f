import { canonicalizeEmail, isEmail } from '#src/auth/email.ts'
import { isInvisible, removeInvisible } from '#src/auth/name.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { lazy } from '#src/runtime/lazy.ts'
import { lazyPackage } from '#src/runtime/lazy-package.ts'
import { toBoolean } from './boolean.ts'

const { rules } = MESSAGES

/** The maximum length of a user name, in characters. */
export const MAX_NAME = 35
const MAX_EMAIL = 255

/** Whether a checkbox is ticked. */
export const isTicked = (value: unknown): boolean => toBoolean(value) === true

/** Normalizes a user name: without invisible characters, in NFC. Null if nothing visible remains. */
export function canonicalizeName(name: string | null | undefined): string | null {
  const visible = removeInvisible(name ?? '').trim()
  if (isInvisible(visible)) return null
  // Not normalized if it is too long in any form: NFC takes quadratic time.
  return visible.length > 10 * MAX_NAME ? visible : visible.normalize('NFC')
}

/** Canonicalizes an entered e-mail address. */
export const parseEmail = (email: string | null | undefined): string | null =>
  email === null || email === undefined ? null : canonicalizeEmail(email)

/** Validates a user name. Errors are in Laravel's order. */
export function validateName(name: string | null): string[] {
  if (name === null) return [rules.required('name')]
  return [
    ...([...name].length > MAX_NAME ? [rules.maxString('name', MAX_NAME)] : []),
    ...(/^[\p{L}\p{M}\p{N}_-]+$/u.test(name) ? [] : [rules.alphaDash('name')]),
  ]
}

/** Validates an e-mail address. */
export function validateEmail(email: string | null): string[] {
  if (email === null) return [rules.required('email')]
  if (email.length > MAX_EMAIL) return [rules.maxString('email', MAX_EMAIL)]
  if (!isEmail(email)) return [rules.email('email')]
  return isDisposable(email) ? [MESSAGES.disposableEmail] : []
}

const disposableDomains = lazyPackage<typeof import('disposable-email-domains-js')>(
  'disposable-email-domains-js',
)
const disposable = lazy(() => disposableDomains().disposableEmailBlocklistSet())

/** Whether the domain, or one above it, belongs to a provider of disposable addresses. */
function isDisposable(email: string): boolean {
  const labels = email.slice(email.lastIndexOf('@') + 1).split('.')
  return labels.some((_, index) => disposable().has(labels.slice(index).join('.').toLowerCase()))
}

/** Removes fields without errors; null if none remains. */
export function errorsByField(errors: Record<string, string[]>): Record<string, string[]> | null {
  const wrong = Object.entries(errors).filter(([, sentences]) => sentences.length > 0)
  return wrong.length === 0 ? null : Object.fromEntries(wrong)
}
