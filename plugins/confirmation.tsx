import { hash } from 'node:crypto'
import type { FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import { render } from 'preact-render-to-string'
import { pathOf } from '#src/http/http.ts'
import type { Faults } from '#src/panel/elements.tsx'
import { Confirmation } from '#src/panel/pages/questions.tsx'
import { type Asked, fieldsOf, isConfirmed, type Question } from '#src/panel/question.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * What is asked before a form of the panel is acted upon, unless its field `confirmed` says that it was. Throws for
     * what is wrong with the form.
     */
    asks?: (request: FastifyRequest) => Promise<Asked>
  }
  interface FastifyReply {
    /** Asks a question about the form of the request; once more, with what was wrong with the answer. */
    ask(question: Question, wrong?: { problem?: string; faults?: Faults }): Promise<this>
  }
}

const CHANGED = 'Something has changed since you were asked. This is what would happen now.'

/**
 * Asks before a route does what cannot be undone: the first form leads to a page that says what would happen, and the
 * form of that page has it happen. What has changed meanwhile is asked about again.
 */
export default fp(
  async app => {
    app.addHook('preHandler', (request, reply, done) => {
      const { asks } = request.routeConfig
      if (asks === undefined) return done()
      const { _seen: seen } = (request.body ?? {}) as { _seen?: unknown }
      const isAnswered = isConfirmed(request.body)
      // A program that confirms has seen no question.
      if (isAnswered && typeof seen !== 'string') return done()
      asks(request).then(asked => {
        if (asked === null) done()
        else if ('unchanged' in asked) reply.redirect(`${asked.unchanged}?done=unchanged`, 303)
        else if (isAnswered && seen === digestOf(asked)) done()
        else reply.ask(asked, isAnswered ? { problem: CHANGED } : {}).catch(done)
      }, done)
    })

    app.decorateReply('ask', function (this: FastifyReply, question, { problem, faults = {} } = {}) {
      return this.page(
        { title: question.title, active: question.active, problem },
        <Confirmation
          question={question}
          action={pathOf(this.request.url)}
          fields={fieldsOf(this.request.body)}
          seen={digestOf(question)}
          faults={faults}
        />,
      )
    })
  },
  { name: 'confirmation', dependencies: ['own-password', 'sent-once'] },
)

/** What tells one question from another. */
const digestOf = ({ title, content }: Question): string =>
  hash('sha256', render(<div>{[title, content]}</div>))
