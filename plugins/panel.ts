import type { FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import type { ComponentChildren } from 'preact'
import { basePath } from '#src/config/public-url.ts'
import type { FlashMessage } from '#src/panel/flash.ts'
import { locationStep, noCorsStep, sameOriginStep, withheldCookieStep } from '#src/panel/guards.ts'
import { createPanelResponses, type PageOptions } from '#src/panel/responses.tsx'

declare module 'fastify' {
  interface FastifyReply {
    /** Sends a page of the panel. */
    sendPage(page: PageOptions, content: ComponentChildren): Promise<this>
    /** Redirects to a page of the panel, which shows a flash message. */
    redirectWithFlash(path: string, message: FlashMessage): this
    /** Where a repeated submission of the form is redirected; null if the form had no effect. */
    repeatLocation: string | null
  }
}

/** Renders the pages and errors of the panel, and protects it from other origins. */
export default fp(
  async app => {
    const { config, random, sessions } = app
    const { page, refuse } = createPanelResponses({ config, random, sessions })
    app.renderErrors(request => request.isPanel, refuse)
    app.decorateReply('sendPage', function (this: FastifyReply, options, content) {
      return page(this, options, content)
    })
    app.decorateReply('repeatLocation', null)
    app.decorateReply('redirectWithFlash', function (this: FastifyReply, path, message) {
      this.repeatLocation = `${path}?done=sent-before`
      return this.redirect(`${path}?done=${message}`, 303)
    })
    app.addStep('guard', withheldCookieStep(sessions))
    app.addStep('guard', sameOriginStep(config.appUrl.host))
    app.addStep('onSend', noCorsStep)
    app.addStep('onSend', locationStep(basePath(config.appUrl)))
  },
  { name: 'panel', dependencies: ['area', 'errors', 'sessions', 'steps'] },
)
