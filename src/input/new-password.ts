import type { Namesake } from '#src/auth/guessable-password.ts'
import {
  MIN_PASSWORD_LENGTH,
  type PasswordWeakness,
  passwordFault,
  passwordWeaknesses,
} from '#src/auth/password.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const { rules } = MESSAGES

const FIELD = 'password'

const SENTENCES: Record<PasswordWeakness, string> = {
  short: rules.minString(FIELD, MIN_PASSWORD_LENGTH),
  mixed: rules.mixedCase(FIELD),
  letters: rules.letters(FIELD),
  symbols: rules.symbols(FIELD),
  numbers: rules.numbers(FIELD),
}

/** The errors for guessable passwords. */
export const GUESSABLE: Record<Namesake | 'common' | 'repetitive' | 'breached', string> = {
  common: rules.common(FIELD),
  repetitive: rules.repetitive(FIELD),
  name: rules.namesake(FIELD, 'your name'),
  email: rules.namesake(FIELD, 'your e-mail address'),
  site: rules.namesake(FIELD, 'the name of this site'),
  breached: rules.breached(FIELD),
}

/** Validates a new password and its repetition. Errors are in Laravel's order. */
export function validateNewPassword(
  password: string | null | undefined,
  confirmation: string | null | undefined,
): string[] {
  if (password === null || password === undefined) return [rules.required(FIELD)]
  const fault = passwordFault(password)
  return [
    ...passwordWeaknesses(password).map(weakness => SENTENCES[weakness]),
    ...(fault === null ? [] : [`The ${FIELD} ${fault}.`]),
    ...(confirmation === password ? [] : [rules.confirmed(FIELD)]),
  ]
}
