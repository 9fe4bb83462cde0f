import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ComponentChildren } from 'preact'
import { render } from 'preact-render-to-string'
import type { Sessions } from '#src/accounts/sessions.ts'
import type { Identity } from '#src/auth/identity.ts'
import { findRefusal } from '#src/auth/permission.ts'
import { isSafe } from '#src/auth/safe-methods.ts'
import { lacksRequiredSecondFactor } from '#src/auth/second-factor.ts'
import type { Config } from '#src/config/config.ts'
import { basePath } from '#src/config/public-url.ts'
import { pathOf } from '#src/http/request.ts'
import { type HttpError, SecondFactorRequired } from '#src/responses/errors.ts'
import { FLASH_MESSAGES, type FlashMessage } from './flash.ts'
import { Page, type PageProps, type Section } from './layout.tsx'
import { PAGE_HEADERS } from './page-headers.ts'
import { ErrorPage } from './pages/error.tsx'
import { isPanelPath, LOGIN_PATH, SECOND_FACTOR_PATH, TOKENS_PATH } from './paths.ts'

/** Title, section and messages of a page. */
export type PageOptions = Pick<PageProps, 'title' | 'active' | 'flash' | 'problem'>

/** The responses of the panel. */
export interface PanelResponses {
  /** Sends a page. */
  page(reply: FastifyReply, page: PageOptions, content: ComponentChildren): Promise<FastifyReply>
  /** Sends the error page, or redirects to login or second factor. */
  refuse(request: FastifyRequest, reply: FastifyReply, error: HttpError): Promise<FastifyReply>
}

/** The size of a page's idempotency key. */
const ONCE_BYTES = 18

const OWN_SECTIONS: readonly Section[] = [
  'Tokens',
  'Devices',
  'Activity',
  'Password',
  'Second factor',
  'Your data',
]

/** Sections for staff, with the permission that each needs in addition to `view filament`. */
const STAFF_SECTIONS: readonly [section: Section, permission: string][] = [
  ['Users', 'view user'],
  ['Roles', 'view role'],
]

interface Dependencies {
  config: Pick<Config, 'appName' | 'appUrl' | 'requireSecondFactor'>
  random: (size: number) => Buffer
  sessions: Sessions
}

/** Creates the {@link PanelResponses} of a server. */
export function createPanelResponses({ config, random, sessions }: Dependencies): PanelResponses {
  /** Returns the sections that a user may open. */
  const sectionsOf = (identity: Identity | null): readonly Section[] => {
    if (identity === null || identity.ban !== null) return []
    if (lacksRequiredSecondFactor(identity, config.requireSecondFactor)) return ['Second factor']
    const may = (permission: string) => findRefusal(identity, permission) === null
    const others = STAFF_SECTIONS.filter(([, permission]) => may('view filament') && may(permission))
    return [...OWN_SECTIONS, ...others.map(([section]) => section)]
  }
  const viewerOf = ({ identity, session }: FastifyRequest) => ({
    name: identity?.user.name ?? null,
    email: identity?.user.email ?? null,
    csrfToken: session?.id.csrfToken() ?? '',
    once: identity === null ? null : random(ONCE_BYTES).toString('base64url'),
    sections: sectionsOf(identity),
  })

  const responses: PanelResponses = {
    async page(reply, page, content) {
      const { request } = reply
      // Forms need a session for their CSRF token. Requests that were refused before authentication get none.
      const hasForms = reply.statusCode < 400 || reply.statusCode === 422
      if (hasForms && request.isStateful)
        await sessions.ensureSession(request, request.sessionFailure === 'session_ambiguous')
      const flash =
        page.flash ?? FLASH_MESSAGES[(request.query as { done?: FlashMessage }).done ?? ('' as FlashMessage)]
      const html = render(
        <Page
          {...page}
          flash={flash}
          siteName={config.appName}
          basePath={basePath(config.appUrl)}
          viewer={viewerOf(request)}
        >
          {content}
        </Page>,
      )
      return reply.headers(PAGE_HEADERS).send(`<!doctype html>${html}`)
    },
    async refuse(request, reply, error) {
      const { statusCode, message, headers } = error
      const path = pathOf(request.url)
      if (statusCode === 401) {
        const to = request.method === 'GET' && isPanelPath(path) && path !== TOKENS_PATH ? `?to=${path}` : ''
        return reply.redirect(`${LOGIN_PATH}${to}`, 303)
      }
      if (error instanceof SecondFactorRequired && isSafe(request.method)) {
        return reply.redirect(SECOND_FACTOR_PATH, 303)
      }
      reply.code(statusCode).headers(headers)
      const content = <ErrorPage status={statusCode} message={message} />
      return responses.page(reply, { title: 'Error' }, content)
    },
  }
  return responses
}
