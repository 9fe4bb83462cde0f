import { type Kysely, sql } from 'kysely'
import { millisToSeconds, timestampToMillis } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

/** A form that was submitted before: when, and the page to redirect to, null while it is being processed. */
interface Submission {
  redirectTo: string | null
  at: EpochMillis
}

/**
 * Claims the processing of a form (idempotency). Of concurrent requests, on any instance, one succeeds.
 *
 * @param id identifies the form and its session
 * @returns null when the caller claimed it; otherwise the earlier submission
 */
export async function claimForm(
  db: Kysely<Schema>,
  id: string,
  now: EpochMillis,
): Promise<Submission | null> {
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
  // The earlier submission has just failed and was released.
  if (row === undefined) return { redirectTo: null, at: now }
  return { redirectTo: row.leads_to, at: timestampToMillis(row.created_at) }
}

/** Records that a form was processed, and the page to redirect to. */
export async function finishForm(db: Kysely<Schema>, id: string, redirectTo: string): Promise<void> {
  await db.updateTable('form_submissions').set({ leads_to: redirectTo }).where('id', '=', id).execute()
}

/** Releases a form whose processing failed, so that it can be submitted again. */
export async function releaseForm(db: Kysely<Schema>, id: string): Promise<void> {
  await db.deleteFrom('form_submissions').where('id', '=', id).execute()
}

/** Deletes the submissions before a time. */
export async function pruneFormSubmissions(db: Kysely<Schema>, before: EpochMillis): Promise<number> {
  return deleteInBatches(db, 'form_submissions', sql`created_at < ${millisToSeconds(before)}::timestamp`)
}
