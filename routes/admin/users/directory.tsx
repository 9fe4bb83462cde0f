import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { searchUsers } from '#src/database/user-directory.ts'
import { parseRowId } from '#src/input/row-id.ts'
import { callerKey, disconnectSignal } from '#src/lists/handlers.ts'
import { HIDDEN, staffAccess } from '#src/panel/access.ts'
import { Users } from '#src/panel/pages/users.tsx'
import { usersPath } from '#src/panel/paths.ts'

const USERS_PER_PAGE = 25

/** Limits the offset, which is expensive: users can be searched for instead. */
const MAX_PAGE = 10_000

const directory: FastifyPluginAsyncTypebox = async app => {
  const types = app.config.tokenableTypes

  app.get(
    '',
    {
      config: { access: staffAccess('view user') },
      schema: {
        ...HIDDEN,
        querystring: Type.Object({ q: Type.Optional(Type.Unknown()), page: Type.Optional(Type.Unknown()) }),
      },
    },
    async (request, reply) => {
      const { q, page: number } = request.query
      const text = typeof q === 'string' ? q.trim().slice(0, 255) : ''
      const page = Math.min(Math.max(parseRowId(String(number ?? 1)), 1), MAX_PAGE)
      const claim = { caller: callerKey(request), isHeavy: false, signal: disconnectSignal(request) }
      // One more row than is shown, to know whether there is a next page.
      const search = { text, types, offset: (page - 1) * USERS_PER_PAGE, limit: USERS_PER_PAGE + 1 }
      const found = await app.database.list(claim, db => searchUsers(db, search))
      return reply.sendPage(
        { title: 'Users', active: 'Users' },
        <Users
          users={found.slice(0, USERS_PER_PAGE)}
          text={text}
          previous={page > 1 ? usersPath({ text, page: page - 1 }) : null}
          next={found.length > USERS_PER_PAGE && page < MAX_PAGE ? usersPath({ text, page: page + 1 }) : null}
        />,
      )
    },
  )
}

export default directory
