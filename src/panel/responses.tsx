import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ComponentChildren } from 'preact'
import { render } from 'preact-render-to-string'
import type { Sessions } from '#src/accounts/sessions.ts'
import type { Identity } from '#src/auth/identity.ts'
import { refusal } from '#src/auth/permission.ts'
import { isSafe } from '#src/auth/safe-methods.ts'
import { owesSecondFactor } from '#src/auth/second-factor.ts'
import type { Config } from '#src/config/config.ts'
import { pathOf } from '#src/http/request.ts'
import { type HttpError, SecondFactorRequired } from '#src/responses/errors.ts'
import { FLASH_MESSAGES, type FlashMessage } from './flash.ts'
import { Page, type PageProps, type Section } from './layout.tsx'
import { PAGE_HEADERS } from './page-headers.ts'
import { Refused } from './pages/refused.tsx'
import { isPanelPath, LOGIN_PATH, SECOND_FACTOR_PATH, TOKENS_PATH } from './paths.ts'

/** What a page is called, and what it says of what was done. */
export type PageOptions = Pick<PageProps, 'title' | 'active' | 'said' | 'problem'>

/** How the panel answers. */
export interface PanelResponses {
  /** Sends a page. */
  page(reply: FastifyReply, page: PageOptions, content: ComponentChildren): Promise<FastifyReply>
  /** Answers a request that went wrong: by a page, or by the way to where one logs in. */
  refuse(request: FastifyRequest, reply: FastifyReply, answer: HttpError): Promise<FastifyReply>
}

/** What tells one page's forms from another's. */
const ONCE_BYTES = 18

const OWN: readonly Section[] = ['Tokens', 'Devices', 'Activity', 'Password', 'Second factor']

/** Sections of those who run the place, with the permission that each needs beside `view filament`. */
const OTHERS: readonly [section: Section, permission: string][] = [
  ['Users', 'view user'],
  ['Roles', 'view role'],
]

interface Needs {
  config: Pick<Config, 'appName' | 'requireSecondFactor'>
  random: (size: number) => Buffer
  sessions: Sessions
}

/** Makes the {@link PanelResponses} of a server. */
export function panelResponses({ config, random, sessions }: Needs): PanelResponses {
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

  const answers: PanelResponses = {
    async page(reply, page, content) {
      const { request } = reply
      // A form has to name its session. What was refused before anybody looked at it begins none.
      const hasForms = reply.statusCode < 400 || reply.statusCode === 422
      if (hasForms && request.isStateful) await sessions.offer(request)
      const said =
        page.said ?? FLASH_MESSAGES[(request.query as { done?: FlashMessage }).done ?? ('' as FlashMessage)]
      const html = render(
        <Page {...page} said={said} place={config.appName} viewer={viewerOf(request)}>
          {content}
        </Page>,
      )
      return reply.headers(PAGE_HEADERS).send(`<!doctype html>${html}`)
    },
    async refuse(request, reply, answer) {
      const { statusCode, message, headers } = answer
      const path = pathOf(request.url)
      if (statusCode === 401) {
        const to = request.method === 'GET' && isPanelPath(path) && path !== TOKENS_PATH ? `?to=${path}` : ''
        return reply.redirect(`${LOGIN_PATH}${to}`, 303)
      }
      if (answer instanceof SecondFactorRequired && isSafe(request.method)) {
        return reply.redirect(SECOND_FACTOR_PATH, 303)
      }
      reply.code(statusCode).headers(headers)
      const content = <Refused status={statusCode} message={message} />
      return answers.page(reply, { title: 'That did not work' }, content)
    },
  }
  return answers
}
