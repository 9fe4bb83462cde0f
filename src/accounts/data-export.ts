import { HOUR_MS, millisToTimestamp } from '#src/auth/time.ts'
import {
  type ExportOwner,
  type ExportSection,
  type ReadExport,
  readSection,
} from '#src/database/data-export.ts'
import { unauthenticated } from '#src/responses/errors.ts'
import type { EpochMillis, Millis, MonotonicMillis } from '#src/runtime/units.ts'
import type { Attempts } from './attempts.ts'
import type { AuthorityGuard, AuthorizableCaller } from './authority.ts'
import type { Recorder } from './caller.ts'

/** How long a download may take: a client that reads slowly must not read for days. */
const MAX_DURATION_MS: Millis = HOUR_MS

/** The size of parts of the document, in UTF-16 units. A part is larger by up to one page of rows. */
const PART_LENGTH = 65_536

/** A caller who exports the data of the user. */
export type ExportCaller = AuthorizableCaller & Recorder

/** Exports everything that is stored about a user. */
export interface DataExports {
  /**
   * Begins an export, and records the event.
   *
   * Rows are read in pages while the parts are consumed, and no connection is held in between. Before each part is
   * returned, after its rows were read, the caller is authenticated again and the route's access is checked.
   *
   * @param read reads from the database for the caller
   * @returns the parts of a JSON object, whose last key is `complete`. They throw {@link HttpError} when the caller's
   *   authority has ended, and an error after an hour
   * @throws {HttpError} 401, 403 or 423; 429 after too many exports within a day. An export that fails before its first
   *   part does not count
   */
  begin(caller: ExportCaller, read: ReadExport): Promise<AsyncGenerator<string>>
}

/** Dependencies of {@link createDataExports}. */
export interface DataExportsDeps {
  sections: readonly ExportSection[]
  authority: Pick<AuthorityGuard, 'recheck'>
  attempts: Pick<Attempts, 'takeExport'>
  config: { tokenableTypes: readonly string[] }
  clock: () => EpochMillis
  monotonic: () => MonotonicMillis
}

/** Creates the {@link DataExports} of a server. */
export function createDataExports({
  sections,
  authority,
  attempts,
  config,
  clock,
  monotonic,
}: DataExportsDeps): DataExports {
  async function* parts(caller: ExportCaller, owner: ExportOwner, read: ReadExport): AsyncGenerator<string> {
    const latest = monotonic() + MAX_DURATION_MS
    const requireAuthority = async () => {
      await authority.recheck(caller)
      if (monotonic() > latest) throw new Error('The export took too long.')
    }
    let text = ''
    for await (const piece of documentOf(sections, { owner, read, at: clock() })) {
      text += piece
      if (text.length < PART_LENGTH) continue
      await requireAuthority()
      yield text
      text = ''
    }
    await requireAuthority()
    yield text
  }

  return {
    async begin(caller, read) {
      if (caller.identity === null) throw unauthenticated()
      const { id: userId } = caller.identity.user
      const attempt = await attempts.takeExport(userId)
      const document = parts(caller, { id: userId, types: config.tokenableTypes }, read)
      let first: IteratorResult<string>
      try {
        first = await document.next()
      } catch (error) {
        await attempt.giveBack()
        throw error
      }
      caller.record('data exported', { userId })
      return prepend(first.value, document)
    },
  }
}

async function* prepend(first: string, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  try {
    yield first
    yield* rest
  } finally {
    await rest.return(undefined)
  }
}

interface DocumentSource {
  owner: ExportOwner
  read: ReadExport
  at: EpochMillis
}

/** Yields the document in small pieces. */
async function* documentOf(
  sections: readonly ExportSection[],
  { owner, read, at }: DocumentSource,
): AsyncGenerator<string> {
  yield `{"exported_at":"${millisToTimestamp(at).replace(' ', 'T')}000Z"`
  for (const section of sections) yield* memberOf(section, owner, read)
  // Absent from a document that was cut off, even if a program repairs its brackets.
  yield ',"complete":true}\n'
}

/** Yields a section as a member of an object that has members already. */
async function* memberOf(
  section: ExportSection,
  owner: ExportOwner,
  read: ReadExport,
): AsyncGenerator<string> {
  const { name, isSingle, nested = [] } = section
  yield `,${JSON.stringify(name)}:${isSingle ? '' : '['}`
  let isEmpty = true
  for await (const rows of readSection(read, section, owner)) {
    if (!isEmpty) yield ','
    isEmpty = false
    if (nested.length === 0) {
      // One piece per page: a piece per row would take as long as reading the rows.
      yield rows.map(({ fields }) => JSON.stringify(fields)).join(',')
      continue
    }
    for (const [index, { key, fields }] of rows.entries()) {
      yield `${index === 0 ? '' : ','}${JSON.stringify(fields).slice(0, -1)}`
      for (const inner of nested) yield* memberOf(inner, { ...owner, id: Number(key) }, read)
      yield '}'
    }
  }
  if (!isSingle) yield ']'
  else if (isEmpty) yield 'null'
}
