import { ENDING, OPENING, type ThemeType } from './demo-wiki.ts'

/** The values of the `visibility` columns. */
export const [PUBLIC, PRIVATE, UNLISTED] = [0, 1, 2]
const [MY_ANIME_LIST, ANI_LIST, KITSU] = [0, 1, 2]

/** A user of the demo data. */
export interface DemoUser {
  name: string
  email: string
  verified: boolean
  roles: string[]
  playlists: {
    name: string
    description: string
    visibility: number
    tracks: number
    /** The type of its themes; openings and endings if absent. */
    only?: ThemeType
  }[]
  profiles: { name: string; site: number; visibility: number; entries: number }[]
  notifications: number
}

/** The users of the demo data: the first is the one whose password is printed. */
export const USERS: DemoUser[] = [
  {
    name: 'demo',
    email: 'demo@example.org',
    verified: true,
    roles: [],
    playlists: [
      {
        name: 'Best openings',
        description: 'The ones that are never skipped.',
        visibility: PUBLIC,
        tracks: 12,
        only: OPENING,
      },
      {
        name: 'Endings for the train home',
        description: 'For the seat by the window.',
        visibility: PUBLIC,
        tracks: 8,
        only: ENDING,
      },
      { name: 'Running', description: '160 bpm and up.', visibility: PUBLIC, tracks: 15 },
      {
        name: 'Safe karaoke choices',
        description: 'The ones that always work.',
        visibility: UNLISTED,
        tracks: 9,
      },
      {
        name: 'To sort',
        description: 'Good ones without a list of their own.',
        visibility: PRIVATE,
        tracks: 20,
      },
      {
        name: 'Guess the anime, round 1',
        description: 'Do not look before Friday!',
        visibility: PRIVATE,
        tracks: 6,
      },
      { name: 'Songs that made me cry', description: 'Best heard alone.', visibility: PRIVATE, tracks: 4 },
      { name: 'Empty for now', description: 'Nothing here yet.', visibility: UNLISTED, tracks: 0 },
    ],
    profiles: [
      { name: 'demo_al', site: ANI_LIST, visibility: PUBLIC, entries: 14 },
      { name: 'demo-mal', site: MY_ANIME_LIST, visibility: PRIVATE, entries: 9 },
      { name: 'demokitsu', site: KITSU, visibility: PUBLIC, entries: 5 },
    ],
    notifications: 5,
  },
  {
    name: 'yuki',
    email: 'yuki@example.org',
    verified: true,
    roles: ['Patron'],
    playlists: [
      {
        name: 'City pop closers',
        description: 'For the small hours.',
        visibility: PUBLIC,
        tracks: 7,
        only: ENDING,
      },
      { name: 'Work in progress', description: 'Not for other ears yet.', visibility: PRIVATE, tracks: 3 },
    ],
    profiles: [{ name: 'yuki', site: KITSU, visibility: PUBLIC, entries: 6 }],
    notifications: 2,
  },
  {
    name: 'theo-r',
    email: 'theo@example.com',
    verified: true,
    roles: ['Contributor'],
    playlists: [
      {
        name: 'Openings before the first coffee',
        description: 'Loud ones first.',
        visibility: PUBLIC,
        tracks: 10,
        only: OPENING,
      },
    ],
    profiles: [],
    notifications: 0,
  },
  {
    name: 'mika',
    email: 'mika@example.org',
    verified: true,
    roles: ['Content Moderator'],
    playlists: [{ name: 'Test list, ignore', description: 'Really.', visibility: UNLISTED, tracks: 2 }],
    profiles: [{ name: 'mika', site: MY_ANIME_LIST, visibility: PRIVATE, entries: 4 }],
    notifications: 1,
  },
  {
    name: 'newcomer',
    email: 'newcomer@example.com',
    verified: false,
    roles: [],
    playlists: [],
    profiles: [],
    notifications: 0,
  },
]
