import type { FastifyReply } from 'fastify'
import t, { type Test } from 'tap'
import { Type } from 'typebox'
import { successResponse } from '#src/api/responses.ts'
import { get, startApp } from './support/app.ts'
import { createDatabase } from './support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

/** Answers of a route that promises `{ name: string }`, and what is said of each. */
const ANSWERS: Record<string, [(reply: FastifyReply) => unknown, RegExp | null]> = {
  'as it is declared': [() => ({ name: 'x' }), null],
  'with an error of all routes': [reply => reply.code(415).send({ message: 'x' }), null],
  'with another body': [() => ({ name: 1 }), /must be string/],
  'without a required field': [() => ({}), /must have required property 'name'/],
  'with another status': [reply => reply.code(418).send({ message: 'x' }), /418: the status is not declared/],
  'with an error of another form': [reply => reply.code(500).send({ error: 'x' }), /500: .*'message'/],
  'with another media type': [reply => reply.type('text/plain').send('x'), /text\/plain.* is not declared/],
  'with another header': [
    reply => reply.header('x-other', '1').send({ name: 'x' }),
    /x-other is not declared/,
  ],
  'with a header of another type': [
    reply => reply.header('x-count', 'many').send({ name: 'x' }),
    /the header x-count is many/,
  ],
  'without a required header': [
    reply => reply.removeHeader('cache-control').send({ name: 'x' }),
    /cache-control is missing/,
  ],
}

for (const [name, [answer, fault]] of Object.entries(ANSWERS)) {
  t.test(`an answer ${name} ${fault === null ? 'passes' : 'fails its test'}`, async t => {
    const teardowns: (() => Promise<unknown>)[] = []
    const test = { teardown: (teardown: () => Promise<unknown>) => teardowns.push(teardown) }
    const app = await startApp(test as unknown as Test, {
      database,
      routes: app => {
        const schema = {
          operationId: 'documented',
          response: {
            200: successResponse(Type.Object({ name: Type.String() }), {
              'X-Count': { type: 'integer', description: '' },
            }),
          },
        }
        app.get(
          '/documented',
          { config: { access: { auth: 'none' } }, schema },
          async (_request, reply) => answer(reply) as never,
        )
      },
    })
    await get(app, '/documented')
    const close = async () => teardowns[0]?.()
    await (fault === null ? t.resolves(close) : t.rejects(close, fault))
  })
}
