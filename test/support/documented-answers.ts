import type { FastifyInstance, FastifyReply } from 'fastify'
import { CompiledDocument } from './compiled-document.ts'

/** Servers with equal documents share it, because making it takes a while. */
const documents = new Map<string, Promise<CompiledDocument>>()

/** The document of a server, which has an operation. */
async function documentOf(app: FastifyInstance, operationId: string): Promise<CompiledDocument> {
  const { csrfMode, apiPath, authPath } = app.config
  const key = JSON.stringify({ csrfMode, apiPath, authPath })
  const known = documents.get(key)
  // The first server may have had no metrics.
  if ((await known)?.operations.has(operationId)) return known as Promise<CompiledDocument>
  const document = app.specification.document().then(made => new CompiledDocument(made))
  documents.set(key, document)
  return document
}

/**
 * Compares every answer of a server's documented routes with its OpenAPI document: status, headers and body. Must be
 * called before the server starts.
 *
 * @returns rejects if an answer was not as the document says
 */
export function checkAnswers(app: FastifyInstance): () => Promise<void> {
  const faults = new Set<string>()
  const checks: Promise<void>[] = []
  const payloads = new WeakMap<FastifyReply, unknown>()
  app.addHook('onSend', (_request, reply, payload, done) => {
    payloads.set(reply, payload)
    done(null, payload)
  })
  app.addHook('onResponse', (request, reply, done) => {
    const { method, url, routeOptions } = request
    const { operationId, hide } = (routeOptions.schema ?? {}) as { operationId?: string; hide?: boolean }
    if (operationId !== undefined && !hide) {
      const answer = {
        status: reply.statusCode,
        headers: sentHeaders(reply),
        body: method === 'HEAD' ? undefined : payloads.get(reply),
        url,
      }
      const { statusCode } = reply
      const check = async () => {
        for (const fault of (await documentOf(app, operationId)).faultsOf(operationId, answer)) {
          faults.add(`${method} ${url.slice(0, 200)} → ${statusCode}: ${fault}`)
        }
      }
      checks.push(check())
    }
    done()
  })
  return async () => {
    await Promise.all(checks)
    if (faults.size === 0) return
    throw new Error(`Answers that the OpenAPI document does not declare:\n${[...faults].join('\n')}`)
  }
}

/** The headers of an answer as they were sent: the server adds some when Node writes the head. */
function sentHeaders({ raw }: FastifyReply): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {}
  for (const line of (raw as unknown as { _header: string })._header.split('\r\n').slice(1)) {
    const [, name = '', value = ''] = /^([^:]+): (.*)$/.exec(line) ?? []
    const key = name.toLowerCase()
    if (key === 'set-cookie') headers[key] = [headers[key] ?? [], value].flat()
    else if (key !== '') headers[key] = value
  }
  return headers
}
