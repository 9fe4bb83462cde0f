import type { Kysely } from 'kysely'
import { EVERYTHING } from '#src/auth/ban.ts'
import type { Identity } from '#src/auth/identity.ts'
import { isoToMillis, millisToIso } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import {
  addRestriction,
  ensureFullBan,
  liftRestriction,
  listRestrictionChoices,
  listRestrictions,
  type Restriction,
  type RestrictionKind,
} from '#src/database/restrictions.ts'
import type { Schema } from '#src/database/schema.ts'
import type { UserDetails } from '#src/database/user-directory.ts'
import { isTicked } from '#src/input/account.ts'
import type { BanNotice as MailedBan } from '#src/mail/account-messages.ts'
import type { Recipient } from '#src/mail/template.ts'
import { notFound, unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Grantor } from './grantor.ts'
import type { StaffActions } from './staff-actions.ts'

/** A prohibition, or a sanction (a set of prohibitions). */
export interface NamedBan {
  kind: RestrictionKind
  id: number
}

/** A ban that staff entered. */
export interface WantedBan {
  /** Null for input that is malformed. */
  from: NamedBan | 'everything' | null
  reason: string | null
  /** ISO 8601, in UTC unless it has an offset; null for a permanent ban. */
  expires_at: string | null
  permanent: unknown
}

/** The effect of a ban, for the confirmation page. */
export interface PlannedBan {
  target: UserDetails
  /** The name of the prohibition or sanction. */
  name: string
  /** Null for a permanent ban. */
  until: EpochMillis | null
  /** The user's ban with the same prohibition or sanction, which the new one replaces. */
  replaced: Restriction | null
}

export interface Bans {
  /** Lists the current bans of a user. */
  ofUser(userId: number): Promise<Restriction[]>
  /** Lists the prohibitions and sanctions. */
  choices(): Promise<(NamedBan & { name: string })[]>
  /**
   * Computes the effect of a ban. Nothing is locked: `ban` checks everything again.
   *
   * @throws {HttpError} as `ban`
   */
  plan(actor: Identity, userId: number, wanted: WantedBan): Promise<PlannedBan>
  /**
   * Bans a user and notifies the user by mail.
   *
   * @throws {HttpError} 422 for input that is not valid, and as {@link StaffActions.act}
   */
  ban(staff: Grantor<Identity>, userId: number, wanted: WantedBan): Promise<void>
  /**
   * Lifts a ban.
   *
   * @throws {HttpError} 404 when the user has no such ban, and as {@link StaffActions.act}
   */
  lift(staff: Grantor<Identity>, userId: number, ban: NamedBan | null): Promise<void>
}

interface BansOptions {
  kysely: Kysely<Schema>
  config: Pick<Config, 'tokenableTypes'>
  clock(): EpochMillis
  staffActions: StaffActions
  /** Notifies a user of a ban by mail. */
  sendBanMail(to: Recipient, ban: MailedBan): Promise<void>
}

const { rules } = MESSAGES

/** Creates the {@link Bans} of a server. */
export function createBans({ kysely, config, clock, staffActions, sendBanMail }: BansOptions): Bans {
  const types = config.tokenableTypes
  const ofUser = (userId: number) => listRestrictions(kysely, { userId, types }, clock())
  const choices = () => listRestrictionChoices(kysely)
  return {
    ofUser,
    choices,

    async plan(actor, userId, { from, expires_at, permanent }) {
      const target = await staffActions.findTarget(actor, userId)
      const until = banEnd({ expires_at, permanent }, clock())
      const named = from === 'everything' ? null : from
      const choice = (await choices()).find(({ kind, id }) => kind === named?.kind && id === named.id)
      const name = from === 'everything' ? EVERYTHING : choice?.name
      if (name === undefined) throw unprocessable({ ban: [MESSAGES.unknownRestriction] })
      const current = await ofUser(userId)
      const kind = named?.kind ?? 'sanction'
      return {
        target,
        name,
        until,
        replaced: current.find(one => one.name === name && one.kind === kind) ?? null,
      }
    },

    async ban(staff, userId, { from, reason, expires_at, permanent }) {
      const now = clock()
      const expiresAt = banEnd({ expires_at, permanent }, now)
      // In a transaction of its own, before the one that locks the sanction's prohibitions.
      const ban =
        from === 'everything' ? ({ kind: 'sanction', id: await ensureFullBan(kysely, now) } as const) : from
      const {
        target,
        eventUsers,
        result: name,
      } = await staffActions.act(
        staff,
        userId,
        async (transaction, _target, { user }) =>
          ban &&
          addRestriction(transaction, { userId, types }, ban, {
            reason,
            expiresAt,
            moderatorId: user.id,
            now,
          }),
      )
      if (name === null) throw unprocessable({ ban: [MESSAGES.unknownRestriction] })
      staff.record('banned', { ...eventUsers, name, reason })
      await sendBanMail(target, { name, reason, until: expiresAt === null ? null : millisToIso(expiresAt) })
    },

    async lift(staff, userId, ban) {
      const { eventUsers, result: name } = await staffActions.act(
        staff,
        userId,
        async transaction => ban && liftRestriction(transaction, { userId, types }, ban),
      )
      if (name === null) throw notFound()
      staff.record('ban lifted', { ...eventUsers, name })
    },
  }
}

/**
 * The end of a ban; null for a permanent one, which has to be requested explicitly.
 *
 * @throws {HttpError} 422
 */
function banEnd(
  { expires_at: until, permanent }: Pick<WantedBan, 'expires_at' | 'permanent'>,
  now: EpochMillis,
) {
  if ((until === null) !== isTicked(permanent)) {
    throw unprocessable({ expires_at: [until === null ? MESSAGES.banWithoutEnd : MESSAGES.banWithTwoEnds] })
  }
  if (until === null) return null
  const expiresAt = isoToMillis(until)
  if (Number.isNaN(expiresAt)) throw unprocessable({ expires_at: [rules.isoDate('expires at')] })
  if (!(expiresAt > now)) throw unprocessable({ expires_at: [rules.future('expires at')] })
  return expiresAt
}
