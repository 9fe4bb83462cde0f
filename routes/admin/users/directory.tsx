import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { searchUsers } from '#src/database/user-directory.ts'
import { rowId } from '#src/input/row-id.ts'
import { callerOf, disconnectSignal } from '#src/lists/handlers.ts'
import { HIDDEN, staff } from '#src/panel/access.ts'
import { Users } from '#src/panel/pages/users.tsx'
import { usersPath } from '#src/panel/paths.ts'

const USERS_PER_PAGE = 25

/** As far as anybody leafs through users who can be searched for. */
const MAX_PAGE = 10_000

const directory: FastifyPluginAsyncTypebox = async app => {
  const types = app.config.tokenableTypes

  app.get(
    '',
    {
      config: { access: staff('view user') },
      schema: {
        ...HIDDEN,
        querystring: Type.Object({ q: Type.Optional(Type.Unknown()), page: Type.Optional(Type.Unknown()) }),
      },
    },
    async (request, reply) => {
      const { q, page: number } = request.query
      const text = typeof q === 'string' ? q.trim().slice(0, 255) : ''
      const page = Math.min(Math.max(rowId(String(number ?? 1)), 1), MAX_PAGE)
      const asker = { caller: callerOf(request), isHeavy: false, signal: disconnectSignal(request) }
      // One more than is shown tells whether there is a next page.
      const search = { text, types, offset: (page - 1) * USERS_PER_PAGE, most: USERS_PER_PAGE + 1 }
      const found = await app.database.list(asker, db => searchUsers(db, search))
      return reply.page(
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
