import type { Kysely } from 'kysely'
import { EVERYTHING } from '#src/auth/ban.ts'
import type { Identity } from '#src/auth/identity.ts'
import { isoToMillis, millisToIso } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import {
  ensureBan,
  lift,
  listRestrictionChoices,
  listRestrictions,
  type Restriction,
  type RestrictionKind,
  restrict,
} from '#src/database/restrictions.ts'
import type { Schema } from '#src/database/schema.ts'
import type { UserFile } from '#src/database/user-directory.ts'
import { isYes } from '#src/input/account.ts'
import type { Ban as ToldBan } from '#src/mail/account-messages.ts'
import type { Recipient } from '#src/mail/template.ts'
import { notFound, unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Grantor } from './grantor.ts'
import type { StaffActions } from './staff-actions.ts'

/** A prohibition or a sanction, which is a set of them. */
export interface NamedBan {
  kind: RestrictionKind
  id: number
}

/** A ban that is asked for. */
export interface WantedBan {
  /** What to ban from; null for what has no form of one. */
  from: NamedBan | 'everything' | null
  reason: string | null
  /** ISO 8601, in UTC unless an offset is given; null if there is to be no end. */
  expires_at: string | null
  /** Whether it is to have no end. */
  permanent: unknown
}

/** What somebody is about to be banned from. */
export interface PlannedBan {
  subject: UserFile
  /** What it is called. */
  name: string
  /** Milliseconds since the epoch; null for good. */
  until: number | null
  /** The ban by the same that the user has, and that is replaced. */
  present: Restriction | null
}

/** Bans of users. */
export interface Bans {
  /** What a user is banned from at the moment. */
  ofUser(userId: number): Promise<Restriction[]>
  /** What there is to ban somebody from. */
  choices(): Promise<(NamedBan & { name: string })[]>
  /** What a ban would come to. @throws {HttpError} as `ban`, which judges it again */
  plan(actor: Identity, userId: number, wanted: WantedBan): Promise<PlannedBan>
  /**
   * Bans a user, and tells that user by mail.
   *
   * @throws {HttpError} 422 for what is not valid, and as `Subjects.act()`
   */
  ban(staff: Grantor<Identity>, userId: number, wanted: WantedBan): Promise<void>
  /** Lifts a ban. @throws {HttpError} 404 when the user has no such ban, and as `Subjects.act()` */
  lift(staff: Grantor<Identity>, userId: number, ban: NamedBan | null): Promise<void>
}

interface BansOptions {
  kysely: Kysely<Schema>
  config: Pick<Config, 'tokenableTypes'>
  /** Milliseconds since the epoch. */
  clock(): number
  subjects: StaffActions
  /** Tells somebody by mail what they are banned from. */
  tellBanned(to: Recipient, ban: ToldBan): Promise<void>
}

const { rules } = MESSAGES

/** Makes the {@link Bans} of a server. */
export function createBans({ kysely, config, clock, subjects, tellBanned }: BansOptions): Bans {
  const types = config.tokenableTypes
  const ofUser = (userId: number) => listRestrictions(kysely, { userId, types }, clock())
  const choices = () => listRestrictionChoices(kysely)
  return {
    ofUser,
    choices,

    async plan(actor, userId, { from, expires_at, permanent }) {
      const subject = await subjects.judged(actor, userId)
      const until = banEnd({ expires_at, permanent }, clock())
      const named = from === 'everything' ? null : from
      const choice = (await choices()).find(({ kind, id }) => kind === named?.kind && id === named.id)
      const name = from === 'everything' ? EVERYTHING : choice?.name
      if (name === undefined) throw unprocessable({ ban: [MESSAGES.unknownRestriction] })
      const held = await ofUser(userId)
      const kind = named?.kind ?? 'sanction'
      return {
        subject,
        name,
        until,
        present: held.find(one => one.name === name && one.kind === kind) ?? null,
      }
    },

    async ban(staff, userId, { from, reason, expires_at, permanent }) {
      const now = clock()
      const expiresAt = banEnd({ expires_at, permanent }, now)
      // Before the transaction that relies on what sanctions mean.
      const ban =
        from === 'everything' ? ({ kind: 'sanction', id: await ensureBan(kysely, now) } as const) : from
      const {
        subject,
        who,
        result: name,
      } = await subjects.act(
        staff,
        userId,
        async (transaction, _subject, { user }) =>
          ban &&
          restrict(transaction, { userId, types }, ban, { reason, expiresAt, moderatorId: user.id, now }),
      )
      if (name === null) throw unprocessable({ ban: [MESSAGES.unknownRestriction] })
      staff.record('banned', { ...who, name, reason })
      await tellBanned(subject, { name, reason, until: expiresAt === null ? null : millisToIso(expiresAt) })
    },

    async lift(staff, userId, ban) {
      const { who, result: name } = await subjects.act(
        staff,
        userId,
        async transaction => ban && lift(transaction, { userId, types }, ban),
      )
      if (name === null) throw notFound()
      staff.record('ban lifted', { ...who, name })
    },
  }
}

/**
 * When a ban is to end, in milliseconds since the epoch; null for never, which has to be said as such.
 *
 * @throws {HttpError} 422
 */
function banEnd({ expires_at: until, permanent }: Pick<WantedBan, 'expires_at' | 'permanent'>, now: number) {
  if ((until === null) !== isYes(permanent)) {
    throw unprocessable({ expires_at: [until === null ? MESSAGES.banWithoutEnd : MESSAGES.banWithTwoEnds] })
  }
  if (until === null) return null
  const expiresAt = isoToMillis(until)
  if (Number.isNaN(expiresAt)) throw unprocessable({ expires_at: [rules.isoDate('expires at')] })
  if (!(expiresAt > now)) throw unprocessable({ expires_at: [rules.future('expires at')] })
  return expiresAt
}
