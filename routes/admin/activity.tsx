import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { listEvents } from '#src/database/events.ts'
import { parseRowId } from '#src/input/row-id.ts'
import { HIDDEN, LOGGED_IN } from '#src/panel/access.ts'
import { Events } from '#src/panel/pages/account.tsx'
import { olderActivityPath } from '#src/panel/paths.ts'

const EVENTS_PER_PAGE = 50

/** Lists the events of the user's account, newest first. */
const activity: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '/activity',
    {
      config: { access: LOGGED_IN },
      schema: { ...HIDDEN, querystring: Type.Object({ before: Type.Optional(Type.Unknown()) }) },
    },
    async (request, reply) => {
      const { before } = request.query
      const events = await listEvents(app.database.kysely, request.user().id, {
        limit: EVENTS_PER_PAGE,
        before: typeof before === 'string' ? parseRowId(before) : null,
      })
      const last = events.length === EVENTS_PER_PAGE ? events.at(-1) : undefined
      return reply.sendPage(
        { title: 'Activity', active: 'Activity' },
        <Events events={events} older={last === undefined ? null : olderActivityPath(last.id)} />,
      )
    },
  )
}

export default activity
