import type { FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import type { ComponentChildren } from 'preact'
import type { FlashMessage } from '#src/panel/flash.ts'
import { noCorsStep, ownPageStep, withheldCookieStep } from '#src/panel/guards.ts'
import { type PageOptions, panelResponses } from '#src/panel/responses.tsx'

declare module 'fastify' {
  interface FastifyReply {
    /** Sends a page of the panel. */
    page(page: PageOptions, content: ComponentChildren): Promise<this>
    /** Leads to a page of the panel, which says what was done. */
    done(path: string, what: FlashMessage): this
    /** Where the same form leads when it is sent once more; null as long as nothing was done. */
    leadsTo: string | null
  }
}

/** Draws the panel's pages and errors, and keeps pages of other origins away from them. */
export default fp(
  async app => {
    const { config, random, sessions } = app
    const { page, refuse } = panelResponses({ config, random, sessions })
    app.renderErrors(request => request.isPanel, refuse)
    app.decorateReply('page', function (this: FastifyReply, options, content) {
      return page(this, options, content)
    })
    app.decorateReply('leadsTo', null)
    app.decorateReply('done', function (this: FastifyReply, path, what) {
      this.leadsTo = `${path}?done=sent-before`
      return this.redirect(`${path}?done=${what}`, 303)
    })
    app.addStep('guard', withheldCookieStep(sessions))
    app.addStep('guard', ownPageStep(config.appUrl.host))
    app.addStep('onSend', noCorsStep)
  },
  { name: 'panel', dependencies: ['area', 'errors', 'sessions', 'steps'] },
)
