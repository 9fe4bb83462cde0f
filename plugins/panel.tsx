import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { ComponentChildren } from 'preact'
import { render } from 'preact-render-to-string'
import { forbidden, type HttpError, SecondFactorRequired } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import type { Identity } from '#src/auth/identity.ts'
import { refusal } from '#src/auth/permission.ts'
import { owesSecondFactor } from '#src/auth/second-factor.ts'
import { isSafe, pathOf } from '#src/http/http.ts'
import { Page, type PageProps, type Section } from '#src/panel/layout.tsx'
import { Refused } from '#src/panel/pages/refused.tsx'
import { isPanelPath, SECOND_FACTOR_PATH } from '#src/panel/paths.ts'
import { type Done, SAID } from '#src/panel/said.ts'

declare module 'fastify' {
  interface FastifyInstance {
    panel: {
      /** Answers a request to the panel that went wrong: by a page, or by the way to where one logs in. */
      refuse(request: FastifyRequest, reply: FastifyReply, answer: HttpError): Promise<FastifyReply>
    }
  }
  interface FastifyReply {
    /** Sends a page of the panel. */
    page(
      page: Pick<PageProps, 'title' | 'active' | 'said' | 'problem'>,
      content: ComponentChildren,
    ): Promise<this>
    /** Leads to a page of the panel, which says what was done. */
    done(path: string, what: Done): this
    /** Where the same form leads when it is sent once more; null as long as nothing was done. */
    leadsTo: string | null
  }
}

/** What a page may load: its own stylesheet and script, and nothing of anybody else's. */
const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  // Without an origin a form could not show that it is ours.
  'referrer-policy': 'same-origin',
}

const ASK_AGAIN = '<!doctype html><title>One moment</title><meta http-equiv="refresh" content="0">'

/** What tells one page's forms from another's. */
const ONCE_BYTES = 18

const OWN: readonly Section[] = ['Tokens', 'Devices', 'Activity', 'Password', 'Second factor']

/** Sections of those who run the place, with the permission that each needs beside `view filament`. */
const OTHERS: readonly [section: Section, permission: string][] = [
  ['Users', 'view user'],
  ['Roles', 'view role'],
]

/** Draws the panel's pages, and keeps pages of other origins away from them. */
export default fp(
  async app => {
    const { config, random } = app

    /** The sections that are open to a user. */
    const sectionsOf = (identity: Identity | null): readonly Section[] => {
      if (identity === null || identity.ban !== null) return []
      if (owesSecondFactor(identity, config.requireSecondFactor)) return ['Second factor']
      const may = (permission: string) => refusal(identity, permission) === null
      const others = OTHERS.filter(([, permission]) => may('view filament') && may(permission))
      return [...OWN, ...others.map(([section]) => section)]
    }

    const viewerOf = ({ identity, session }: FastifyRequest) => ({
      name: identity?.user.name ?? null,
      csrfToken: session?.id.csrfToken() ?? '',
      once: identity === null ? null : random(ONCE_BYTES).toString('base64url'),
      sections: sectionsOf(identity),
    })

    app.decorateReply('page', async function (this: FastifyReply, page, content) {
      const { request } = this
      // A form has to name its session. What was refused before anybody looked at it begins none.
      const hasForms = this.statusCode < 400 || this.statusCode === 422
      if (hasForms && request.isStateful) await app.sessions.offer(request)
      const said = page.said ?? SAID[(request.query as { done?: Done }).done ?? ('' as Done)]
      const html = render(
        <Page {...page} said={said} place={config.appName} viewer={viewerOf(request)}>
          {content}
        </Page>,
      )
      return this.headers(HEADERS).send(`<!doctype html>${html}`)
    })

    app.decorateReply('leadsTo', null)
    app.decorateReply('done', function (this: FastifyReply, path, what) {
      this.leadsTo = `${path}?done=sent-before`
      return this.redirect(`${path}?done=${what}`, 303)
    })

    app.decorate('panel', {
      async refuse(request, reply, answer) {
        const { statusCode, message, headers } = answer
        const path = pathOf(request.url)
        if (statusCode === 401) {
          const to = request.method === 'GET' && isPanelPath(path) && path !== '/admin' ? `?to=${path}` : ''
          return reply.redirect(`/admin/login${to}`, 303)
        }
        if (answer instanceof SecondFactorRequired && isSafe(request.method)) {
          return reply.redirect(SECOND_FACTOR_PATH, 303)
        }
        reply.code(statusCode).headers(headers)
        return reply.page({ title: 'That did not work' }, <Refused status={statusCode} message={message} />)
      },
    })

    // The page asks for itself once more, and as it is its own then, the cookie comes along.
    app.addGuard((request, reply) =>
      request.isPanel && isSafe(request.method) && app.sessions.isWithheld(request)
        ? reply.headers(HEADERS).send(ASK_AGAIN)
        : undefined,
    )

    // A page of ours elsewhere may use the API in its user's name, and that is all: what runs there gets no hold of
    // those who run the place.
    app.addGuard(request => {
      if (
        request.isPanel &&
        !request.is404 &&
        !isSafe(request.method) &&
        !isOwnPage(request, config.appUrl.host)
      ) {
        throw forbidden(MESSAGES.originMismatch)
      }
    })
    app.addHook('onSend', (request, reply, _payload, done) => {
      if (request.isPanel) {
        reply.removeHeader('access-control-allow-origin')
        reply.removeHeader('access-control-allow-credentials')
      }
      done()
    })
  },
  { name: 'panel', dependencies: ['access', 'csrf', 'session'] },
)

/** Whether a change was asked for by a page of this very origin, as far as the browser tells. */
function isOwnPage({ headers, host }: FastifyRequest, ownHost: string): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  const { origin } = headers
  if (origin === undefined) return true
  const { host: from } = URL.canParse(origin) ? new URL(origin) : { host: null }
  return from === host || from === ownHost
}
