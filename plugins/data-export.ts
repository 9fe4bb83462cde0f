import type { FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import { createDataExports } from '#src/accounts/data-export.ts'
import { EXTERNAL_ENTRY_STATUS } from '#src/api/resources/externalentry.ts'
import { EXTERNAL_PROFILE_SITE, EXTERNAL_PROFILE_VISIBILITY } from '#src/api/resources/externalprofile.ts'
import { PLAYLIST_VISIBILITY } from '#src/api/resources/playlist.ts'
import { exportSections } from '#src/database/data-export.ts'
import { disconnectSignal, exportHeaders, streamOf } from '#src/http/data-export.ts'
import { callerKey } from '#src/lists/handlers.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** Sends everything that is stored about the user as a stream. Throws 401, 403, 423 or 429 before it starts. */
    sendDataExport(): Promise<this>
  }
}

const SECTIONS = exportSections({
  playlistVisibility: PLAYLIST_VISIBILITY,
  profileVisibility: EXTERNAL_PROFILE_VISIBILITY,
  site: EXTERNAL_PROFILE_SITE,
  status: EXTERNAL_ENTRY_STATUS,
})

/** Adds `reply.sendDataExport()`. */
export default fp(
  async app => {
    const { authority, attempts, config, clock, monotonic, database } = app
    const exports = createDataExports({ sections: SECTIONS, authority, attempts, config, clock, monotonic })
    app.decorateReply('sendDataExport', async function (this: FastifyReply) {
      const { request } = this
      const caller = { caller: callerKey(request), isHeavy: false, signal: disconnectSignal(this) }
      const parts = await exports.begin(request, work => database.list(caller, work))
      return exportHeaders(this, clock()).send(streamOf(parts))
    })
  },
  { name: 'data-export', dependencies: ['attempts', 'authority', 'database', 'events'] },
)
