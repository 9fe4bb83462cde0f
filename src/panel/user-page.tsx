import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { refusal } from '#src/auth/permission.ts'
import { listEvents } from '#src/database/events.ts'
import { RowId, rowId } from '#src/input/row-id.ts'
import type { Returned } from './elements.tsx'
import { User } from './pages/users.tsx'
import { rerenderForm } from './rerender-form.ts'

const EVENTS = 25

/** The parameters of paths that name a user. */
export const UserParams = Type.Object({ user: RowId })

/** The id of the user that a path names. */
export const userIdOf = ({ params }: FastifyRequest): number => rowId((params as { user: string }).user)

/** A form of the page that came back, and what was wrong with it. */
interface Refused {
  form: 'roles' | 'ban' | 'notification'
  returned: Returned & { problem: string }
}

type Services = Pick<FastifyInstance, 'bans' | 'database' | 'roles' | 'subjects'>

/** Makes the function that shows staff the user of a path, with what they may do to that user. */
export const showingUser =
  ({ bans, database, roles, subjects }: Services) =>
  async (request: FastifyRequest, reply: FastifyReply, refused?: Refused): Promise<FastifyReply> => {
    const identity = request.sessionCaller()
    const file = await subjects.find(userIdOf(request))
    const mayAct = subjects.mayActOn(identity, file)
    const may = (permission: string) => mayAct && refusal(identity, permission) === null
    // What others did to oneself is for others to look into.
    const withActors = file.id !== identity.user.id
    const events = await listEvents(database.kysely, file.id, { most: EVENTS, withActors })
    const restrictions = await bans.ofUser(file.id)
    const choices = await bans.choices()
    const book = await roles.book()
    return reply.page(
      { title: file.name, active: 'Users', problem: refused?.returned.problem },
      <User
        file={file}
        roles={book.roles.map(({ name }) => name)}
        restrictions={restrictions}
        choices={choices}
        events={events}
        may={{ update: may('update user'), ban: may('create sanction'), lift: may('delete sanction') }}
        owesPassword={request.owesPassword()}
        returned={refused === undefined ? {} : { [refused.form]: refused.returned }}
      />,
    )
  }

/** Makes the error handler of a form of that page. */
export function backToUser(services: Services, form: Refused['form']) {
  const show = showingUser(services)
  return rerenderForm((request, reply, returned) => show(request, reply, { form, returned }))
}
