import type { FastifyInstance, FastifyRequest } from 'fastify'
import { forbidden, notFound } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { EXTERNAL_PROFILE_VISIBILITY } from '#src/api/resources/externalprofile.ts'
import {
  type ExternalProfileRow,
  findExternalProfile,
  hasExternalEntry,
} from '#src/database/external-profiles.ts'
import { rowId } from '#src/input/row-id.ts'

const PRIVATE = EXTERNAL_PROFILE_VISIBILITY.indexOf('Private')

/**
 * Finds the external profile that a path names, or the entry of one, for those who may see it or change it. Each
 * throws 403 for what is not for whoever asks, and 404 when there is none: with HIDE_PRIVATE also for what is private
 * to somebody else. So that nobody learns from the difference what there is, all other conditions come before the row
 * then.
 */
export function externalProfileAccess({ config, database }: Pick<FastifyInstance, 'config' | 'database'>) {
  const { kysely } = database
  const { hidePrivate, externalProfilesLocalOnly } = config

  /** Lets only our own machines go on, where external profiles are for them alone. @throws {HttpError} 403 */
  const requireLocal = ({ clientAddress }: FastifyRequest) => {
    if (externalProfilesLocalOnly && !clientAddress.isLocal) throw forbidden(MESSAGES.localOnly)
  }
  const findProfileOf = async (request: FastifyRequest): Promise<ExternalProfileRow> => {
    if (hidePrivate) {
      request.authorize()
      requireLocal(request)
    }
    const { externalprofile } = request.params as { externalprofile: string }
    const profile = await findExternalProfile(kysely, rowId(externalprofile))
    if (profile === null || isHidden(request, profile)) throw notFound()
    return profile
  }
  const isHidden = (request: FastifyRequest, { visibility, userId }: ExternalProfileRow) =>
    hidePrivate && visibility === PRIVATE && !request.owns(userId)
  const letSee = (request: FastifyRequest, { visibility, userId }: ExternalProfileRow) => {
    request.authorize()
    if (visibility === PRIVATE) request.requireOwner(userId)
    requireLocal(request)
  }
  return {
    requireLocal,
    async profileToSee(request: FastifyRequest) {
      const profile = await findProfileOf(request)
      letSee(request, profile)
      return profile
    },
    async profileToChange(request: FastifyRequest) {
      const profile = await findProfileOf(request)
      request.authorize()
      request.requireOwner(profile.userId)
      requireLocal(request)
      return profile
    },
    /** The entry's profile, and its own id. */
    async entryToSee(request: FastifyRequest) {
      const profile = await findProfileOf(request)
      const id = rowId((request.params as { externalentry: string }).externalentry)
      if (!(await hasExternalEntry(kysely, profile.id, id))) throw notFound()
      letSee(request, profile)
      return { profile, id }
    },
    /** Refuses to change an entry, or to add one: entries are what the other site says. Always throws. */
    async refuseEntryChange(request: FastifyRequest): Promise<never> {
      const profile = await findProfileOf(request)
      const { externalentry } = request.params as { externalentry?: string }
      const isThere =
        externalentry === undefined || (await hasExternalEntry(kysely, profile.id, rowId(externalentry)))
      throw isThere ? forbidden() : notFound()
    },
  }
}
