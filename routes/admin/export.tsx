import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { OptionalPassword } from '#src/input/values.ts'
import { HIDDEN, LOGGED_IN, WITH_PASSWORD } from '#src/panel/access.ts'
import { EMPTY_FORM, type FormState } from '#src/panel/elements.tsx'
import { DataExport } from '#src/panel/pages/account.tsx'
import { rerenderForm } from '#src/panel/rerender-form.ts'

/** Sends the user everything that is stored about the user. */
const dataExport: FastifyPluginAsyncTypebox = async app => {
  const show = (
    request: FastifyRequest,
    reply: FastifyReply,
    formState: FormState & { problem?: string } = EMPTY_FORM,
  ) =>
    reply.sendPage(
      { title: 'Your data', active: 'Your data', problem: formState.problem },
      <DataExport
        formState={formState}
        owesPassword={request.owesPassword()}
        dailyLimit={app.config.exportDailyLimit}
      />,
    )

  app.get('/export', { config: { access: LOGGED_IN }, schema: HIDDEN }, (request, reply) =>
    show(request, reply),
  )

  app.post(
    '/export',
    {
      config: { access: WITH_PASSWORD },
      schema: { ...HIDDEN, body: Type.Object({ current_password: OptionalPassword }) },
      errorHandler: rerenderForm(show),
    },
    (_request, reply) => reply.sendDataExport(),
  )
}

export default dataExport
