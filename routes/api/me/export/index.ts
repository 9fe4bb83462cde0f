import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { successResponse } from '#src/api/responses.ts'
import { READ_ABILITIES } from '#src/auth/ability.ts'
import { exportHeaders } from '#src/http/data-export.ts'

/** An open object: the keys are those of `exportSections`. */
const Export = Type.Unsafe<object>({ type: 'object', description: 'The data.' })

const dataExport: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '',
    {
      config: { access: { auth: 'required', ability: READ_ABILITIES, password: 'confirmed' } },
      schema: {
        operationId: 'me.export',
        tags: ['me'],
        summary: 'Download all data',
        description: 'Everything stored about the user except secrets; EXPORT_DAILY_LIMIT a day.',
        response: { 200: successResponse(Export) },
      },
    },
    async (request, reply) => {
      // Reads nothing, and does not count.
      if (request.method === 'HEAD') return exportHeaders(reply, app.clock()).send('')
      return reply.sendDataExport()
    },
  )
}

export default dataExport
