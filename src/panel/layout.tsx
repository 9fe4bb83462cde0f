import type { ComponentChildren } from 'preact'
import { SCRIPT, STYLESHEET } from './assets.ts'
import { Action, FormFields } from './elements.tsx'
import {
  ACTIVITY_PATH,
  DEVICES_PATH,
  LOGOUT_PATH,
  PASSWORD_PATH,
  ROLES_PATH,
  SECOND_FACTOR_PATH,
  TOKENS_PATH,
  USERS_PATH,
} from './paths.ts'

/** A part of the panel. */
export type Section = 'Tokens' | 'Devices' | 'Activity' | 'Password' | 'Second factor' | 'Users' | 'Roles'

const ADDRESSES: Record<Section, string> = {
  Tokens: TOKENS_PATH,
  Devices: DEVICES_PATH,
  Activity: ACTIVITY_PATH,
  Password: PASSWORD_PATH,
  'Second factor': SECOND_FACTOR_PATH,
  Users: USERS_PATH,
  Roles: ROLES_PATH,
}

/** Who looks at a page. */
export interface Viewer {
  /** Null while nobody is logged in. */
  name: string | null
  csrfToken: string
  /** What the forms of this page are told apart by from those of other pages; null while nobody is logged in. */
  once: string | null
  sections: readonly Section[]
}

export interface PageProps {
  /** What the place calls itself. */
  place: string
  viewer: Viewer
  title: string
  active?: Section
  /** Says what was done. */
  said?: string | null
  /** Says why something was not done. */
  problem?: string | null
  children: ComponentChildren
}

/** A whole page. */
export function Page({ place, viewer, title, active, said, problem, children }: PageProps) {
  return (
    <FormFields.Provider value={{ _token: viewer.csrfToken, _once: viewer.once }}>
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="robots" content="noindex" />
          <meta name="color-scheme" content="light dark" />
          <title>{`${title} · ${place}`}</title>
          <link rel="stylesheet" href={STYLESHEET.url} />
          <script src={SCRIPT.url} type="module" />
        </head>
        <body>
          <a class="skip" href="#content">
            Skip to the content
          </a>
          <header>
            <a class="place" href={TOKENS_PATH}>
              {place}
            </a>
            {viewer.name !== null && (
              <div class="whose">
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
                    <a href={ADDRESSES[section]} aria-current={section === active ? 'page' : undefined}>
                      {section}
                    </a>
                  </li>
                ))}
              </ul>
            </nav>
          )}
          <main id="content" tabIndex={-1}>
            <h1>{title}</h1>
            {said != null && (
              <p class="said" role="status">
                {said}
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
