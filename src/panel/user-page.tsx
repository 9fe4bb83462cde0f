import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { findRefusal } from '#src/auth/permission.ts'
import { listEvents } from '#src/database/events.ts'
import { parseRowId, RowId } from '#src/input/row-id.ts'
import type { FormState } from './elements.tsx'
import { User } from './pages/users.tsx'
import { rerenderForm } from './rerender-form.ts'

const EVENTS = 25

/** The path parameters of a user's page. */
export const UserParams = Type.Object({ user: RowId })

/** Returns the user id from the path. */
export const userIdOf = ({ params }: FastifyRequest): number => parseRowId((params as { user: string }).user)

/** A form of the page that is shown again with errors. */
interface RerenderedForm {
  form: 'roles' | 'ban' | 'notification'
  formState: FormState & { problem: string }
}

type Services = Pick<FastifyInstance, 'bans' | 'database' | 'roles' | 'staffActions'>

/** Returns the function that renders the page of a user for staff, with the actions that the viewer may take. */
export const userPage =
  ({ bans, database, roles, staffActions }: Services) =>
  async (request: FastifyRequest, reply: FastifyReply, refused?: RerenderedForm): Promise<FastifyReply> => {
    const identity = request.sessionCaller()
    const file = await staffActions.find(userIdOf(request))
    const mayAct = staffActions.mayActOn(identity, file)
    const may = (permission: string) => mayAct && findRefusal(identity, permission) === null
    // Staff do not see who acted on their own account.
    const withActors = file.id !== identity.user.id
    const events = await listEvents(database.kysely, file.id, { limit: EVENTS, withActors })
    const restrictions = await bans.ofUser(file.id)
    const choices = await bans.choices()
    const book = await roles.book()
    return reply.sendPage(
      { title: file.name, active: 'Users', problem: refused?.formState.problem },
      <User
        file={file}
        roles={book.roles.map(({ name }) => name)}
        restrictions={restrictions}
        choices={choices}
        events={events}
        may={{ update: may('update user'), ban: may('create sanction'), lift: may('delete sanction') }}
        owesPassword={request.owesPassword()}
        formState={refused === undefined ? {} : { [refused.form]: refused.formState }}
      />,
    )
  }

/** Returns the error handler of a form of that page. */
export function rerenderUserPage(services: Services, form: RerenderedForm['form']) {
  const show = userPage(services)
  return rerenderForm((request, reply, formState) => show(request, reply, { form, formState }))
}
