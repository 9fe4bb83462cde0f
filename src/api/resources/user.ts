import { Type } from 'typebox'
import type { User } from '../../auth/identity.ts'
import { formatDate } from '../date.ts'

const date = (description: string) =>
  Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description })

/** A user as its owner sees it. */
export const UserSchema = Type.Object(
  {
    id: Type.Integer({ description: 'The id, the same as in Laravel.' }),
    name: Type.String({ description: 'The user name.' }),
    email: Type.String({ description: 'The e-mail address.' }),
    email_verified_at: date('When the e-mail address was verified, in UTC with six fractional digits.'),
    two_factor_confirmed_at: Type.Union([Type.String(), Type.Null()], {
      description: 'When the second factor was confirmed, in UTC as the database writes it.',
    }),
  },
  {
    description: 'A user, as its owner sees it.',
  },
)

/** What a user may look like. */
export const USER_EXAMPLE = {
  id: 7,
  name: 'alice',
  email: 'alice@example.org',
  email_verified_at: '2026-03-01T12:00:00.000000Z',
  two_factor_confirmed_at: null,
}

/** Renders a user as {@link UserSchema} says. */
export const renderUser = (user: User) => ({
  id: user.id,
  name: user.name,
  email: user.email,
  email_verified_at: user.emailVerifiedAt === null ? null : formatDate(user.emailVerifiedAt),
  // The reference hands this one column on as the database writes it, and clients parse that.
  two_factor_confirmed_at: user.twoFactorConfirmedAt,
})
