import { type Kysely, sql } from 'kysely'
import { millisToSeconds, timestampToMillis } from '#src/auth/time.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

/** A form that was sent before: where that led, null while it is under way, and when it came in milliseconds. */
interface Submission {
  leadsTo: string | null
  at: number
}

/**
 * Takes a form on, unless it was sent before. Of several requests at once one succeeds, whichever instance they reach.
 *
 * @param id what is the same for the same form
 * @param now milliseconds since the epoch
 * @returns null when it is the caller's to do; otherwise what is known of who came first
 */
export async function takeForm(db: Kysely<Schema>, id: string, now: number): Promise<Submission | null> {
  const taken = await db
    .insertInto('form_submissions')
    .values({ id, leads_to: null, created_at: millisToSeconds(now) })
    .onConflict(conflict => conflict.column('id').doNothing())
    .returning('id')
    .executeTakeFirst()
  if (taken !== undefined) return null
  const row = await db
    .selectFrom('form_submissions')
    .select(['leads_to', 'created_at'])
    .where('id', '=', id)
    .executeTakeFirst()
  // It has failed meanwhile, and is there to be taken again.
  if (row === undefined) return { leadsTo: null, at: now }
  return { leadsTo: row.leads_to, at: timestampToMillis(row.created_at) }
}

/** Keeps that what a form asks for is done, and where it leads. */
export async function finishForm(db: Kysely<Schema>, id: string, leadsTo: string): Promise<void> {
  await db.updateTable('form_submissions').set({ leads_to: leadsTo }).where('id', '=', id).execute()
}

/** Forgets that a form was sent, since that came to nothing. */
export async function releaseForm(db: Kysely<Schema>, id: string): Promise<void> {
  await db.deleteFrom('form_submissions').where('id', '=', id).execute()
}

/** Deletes the forms that were sent before a moment, in milliseconds since the epoch. */
export async function pruneFormSubmissions(db: Kysely<Schema>, before: number): Promise<number> {
  return deleteInBatches(db, 'form_submissions', sql`created_at < ${millisToSeconds(before)}::timestamp`)
}
