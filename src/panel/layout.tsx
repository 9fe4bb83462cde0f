import type { ComponentChildren } from 'preact'
import { SCRIPT, STYLESHEET } from './assets.ts'
import { Action, FormFields, Link } from './elements.tsx'
import {
  ACTIVITY_PATH,
  DEVICES_PATH,
  EXPORT_PATH,
  LOGOUT_PATH,
  PASSWORD_PATH,
  ROLES_PATH,
  SECOND_FACTOR_PATH,
  TOKENS_PATH,
  USERS_PATH,
} from './paths.ts'

/** A section of the panel, as the navigation shows it. */
export type Section =
  | 'Tokens'
  | 'Devices'
  | 'Activity'
  | 'Password'
  | 'Second factor'
  | 'Your data'
  | 'Users'
  | 'Roles'

const SECTION_PATHS: Record<Section, string> = {
  Tokens: TOKENS_PATH,
  Devices: DEVICES_PATH,
  Activity: ACTIVITY_PATH,
  Password: PASSWORD_PATH,
  'Second factor': SECOND_FACTOR_PATH,
  'Your data': EXPORT_PATH,
  Users: USERS_PATH,
  Roles: ROLES_PATH,
}

/** The viewer of a page. */
export interface Viewer {
  /** Null for guests. */
  name: string | null
  email: string | null
  csrfToken: string
  /** The idempotency key of the page's forms; null for guests. */
  once: string | null
  sections: readonly Section[]
}

export interface PageProps {
  /** The name of the site. */
  siteName: string
  /** The path of APP_URL. */
  basePath: string
  viewer: Viewer
  title: string
  active?: Section
  /** Reports a successful action. */
  flash?: string | null
  /** Reports an error. */
  problem?: string | null
  children: ComponentChildren
}

/** A whole page. */
export function Page({ siteName, basePath, viewer, title, active, flash, problem, children }: PageProps) {
  return (
    <FormFields.Provider
      value={{ _token: viewer.csrfToken, _once: viewer.once, username: viewer.email, basePath }}
    >
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="robots" content="noindex" />
          <meta name="color-scheme" content="light dark" />
          <title>{`${title} · ${siteName}`}</title>
          <link rel="stylesheet" href={basePath + STYLESHEET.url} />
          <script src={basePath + SCRIPT.url} type="module" />
        </head>
        <body>
          <a class="skip" href="#content">
            Skip to content
          </a>
          <header>
            <Link class="site" to={TOKENS_PATH}>
              {siteName}
            </Link>
            {viewer.name !== null && (
              <div class="viewer">
                <span>{viewer.name}</span>
                <Action action={LOGOUT_PATH} label="Log out" />
              </div>
            )}
          </header>
          {viewer.sections.length > 0 && (
            <nav aria-label="Sections">
              <ul>
                {viewer.sections.map(section => (
                  <li key={section}>
                    <Link to={SECTION_PATHS[section]} aria-current={section === active ? 'page' : undefined}>
                      {section}
                    </Link>
                  </li>
                ))}
              </ul>
            </nav>
          )}
          <main id="content" tabIndex={-1}>
            <h1>{title}</h1>
            {flash != null && (
              <p class="flash" role="status">
                {flash}
              </p>
            )}
            {problem != null && (
              <p class="problem" role="alert">
                {problem}
              </p>
            )}
            {children}
          </main>
        </body>
      </html>
    </FormFields.Provider>
  )
}
