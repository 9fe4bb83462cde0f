const CRUD = ['view', 'create', 'update', 'delete'] as const
const ALL = [...CRUD, 'force delete', 'restore'] as const

type Verb = (typeof ALL)[number]

const WIKI = [
  'anime',
  'anime theme',
  'anime theme entry',
  'artist',
  'audio',
  'group',
  'external resource',
  'image',
  'page',
  'performance',
  'series',
  'song',
  'studio',
  'synonym',
  'video',
  'video script',
] as const

/** What belongs to users, and what every role but the administrators' may do with all of it. */
const OWN = [
  'external profile',
  'playlist',
  'playlist track',
  'like',
  'notification',
  'watch history',
] as const

const MODELS = new Map<string, readonly Verb[]>([
  ...(
    [
      'announcement',
      'dump',
      'feature',
      'featured theme',
      'role',
      'sanction',
      'external entry',
      'submission',
      ...OWN,
    ] as const
  ).map(model => [model, CRUD] as const),
  ['permission', ['view']],
  ['prohibition', ['view', 'update']],
  ...(['user', ...WIKI] as const).map(model => [model, ALL] as const),
])

/** Its holder may enter the panel, and counts as staff. */
export const VIEW_PANEL = 'view filament'

/** Its holder may do everything that a policy decides. No seeded role has it. */
export const BYPASS_AUTHORIZATION = 'bypass authorization'

/** Its holder's requests are not counted. */
export const BYPASS_API_RATE_LIMITER = 'bypass api rate limiter'

/** For its holder every feature is on, and there are no limits of how many. */
const BYPASS_FEATURE_FLAGS = 'bypass feature flags'

const SPECIAL = [
  BYPASS_API_RATE_LIMITER,
  BYPASS_AUTHORIZATION,
  BYPASS_FEATURE_FLAGS,
  'bypass graphql rate limiter',
  'make submission',
  'revalidate pages',
  VIEW_PANEL,
  'view pulse',
] as const

const grant = (verbs: readonly Verb[], models: readonly string[]) =>
  models.flatMap(model => verbs.map(verb => `${verb} ${model}`))

/** The names of all permissions, as AnimeThemes seeds them. */
export const PERMISSIONS: readonly string[] = [
  ...[...MODELS].flatMap(([model, verbs]) => grant(verbs, [model])),
  ...SPECIAL,
]

/** The guards whose roles and permissions count for a user. New ones are given to the first. */
export const GUARDS = ['web', 'api'] as const

export interface SeededRole {
  name: string
  color: string | null
  priority: number
  /** Whether a user receives it when the e-mail address is verified. */
  default: boolean
  permissions: readonly string[]
}

const BASE = ['view external entry', ...grant(CRUD, OWN)]
const EDIT = [...CRUD, 'restore'] as const

const panelRole = (name: string, color: string, priority: number, ...permissions: string[]): SeededRole => ({
  name,
  color,
  priority,
  default: false,
  permissions: [...BASE, ...permissions, VIEW_PANEL],
})

/** AnimeThemes' roles, highest priority first. */
export const ROLES: readonly SeededRole[] = [
  {
    name: 'Admin',
    color: '#1F8B4C',
    priority: 250_000,
    default: false,
    permissions: [
      ...grant(CRUD, ['external entry', ...OWN, 'submission']),
      ...grant(CRUD, ['announcement', 'dump', 'featured theme', 'role', 'sanction']),
      ...grant(['view', 'update'], ['feature', 'prohibition']),
      ...grant(['view'], ['permission']),
      ...grant(ALL, ['user', ...WIKI]),
      ...SPECIAL.filter(name => name !== BYPASS_AUTHORIZATION),
    ],
  },
  panelRole('Encoder', '#FFC107', 150_000, ...grant(EDIT, WIKI)),
  panelRole('Developer', '#FF69B4', 125_000, ...grant(['view'], WIKI)),
  panelRole(
    'Content Moderator',
    '#2E5A88',
    100_000,
    ...grant(
      EDIT,
      WIKI.filter(model => !['audio', 'video', 'video script'].includes(model)),
    ),
    ...grant(['view', 'update'], ['audio', 'video']),
    ...grant(['view'], ['video script']),
  ),
  panelRole('Patron', '#E74C3C', 75_000, ...grant(['view'], WIKI), 'bypass feature flags'),
  panelRole('Contributor', '#052C41', 50_000, ...grant(['view'], WIKI)),
  panelRole('Panel Viewer', '#2596D1', 25_000, ...grant(['view'], WIKI)),
  { name: 'Verified', color: null, priority: 0, default: true, permissions: BASE },
]

/** Why an action is refused: the permission is missing, or the user is banned from it. */
export type Refusal = 'missing' | 'prohibited'

/**
 * Whether somebody with these permissions and prohibitions may do what `permission` names; null when so.
 *
 * `bypass authorization` allows everything, and a prohibition outweighs every other permission.
 */
export function refusal(
  holder: { permissions: ReadonlySet<string>; prohibitions: ReadonlySet<string> },
  permission: string,
): Refusal | null {
  if (holder.permissions.has(BYPASS_AUTHORIZATION)) return null
  if (holder.prohibitions.has(permission)) return 'prohibited'
  return holder.permissions.has(permission) ? null : 'missing'
}

/** Whether a holder may do all that some permissions name, and so may give and take them. */
export const holds = (holder: Parameters<typeof refusal>[0], names: readonly string[]): boolean =>
  names.every(name => refusal(holder, name) === null)

/** Whether somebody owns a row, by the owner's id, or is one whom no policy stops. */
export const owns = (
  identity: { user: { id: number }; permissions: ReadonlySet<string> } | null,
  ownerId: number | null,
): boolean =>
  identity !== null && (identity.user.id === ownerId || identity.permissions.has(BYPASS_AUTHORIZATION))

/** Whether neither feature flags nor quotas stop somebody with these permissions. */
export const bypassesFeatureFlags = ({ permissions }: { permissions: ReadonlySet<string> }): boolean =>
  permissions.has(BYPASS_FEATURE_FLAGS)

/** Whether a user with these permissions counts as staff, whatever the bans. */
export const isStaff = (permissions: ReadonlySet<string>): boolean =>
  permissions.has(VIEW_PANEL) || permissions.has(BYPASS_AUTHORIZATION)
