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

/** Models of users' own rows, with full permissions in all seeded roles. */
const OWNED_MODELS = [
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
      ...OWNED_MODELS,
    ] as const
  ).map(model => [model, CRUD] as const),
  ['permission', ['view']],
  ['prohibition', ['view', 'update']],
  ...(['user', ...WIKI] as const).map(model => [model, ALL] as const),
])

/** Grants access to the panel. Its holders are staff. */
export const VIEW_PANEL = 'view filament'

/** Grants everything that a policy decides. No seeded role has it. */
export const BYPASS_AUTHORIZATION = 'bypass authorization'

/** Exempts from the rate limit. */
export const BYPASS_API_RATE_LIMITER = 'bypass api rate limiter'

/** Enables all features and lifts all quotas. */
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

const permissionNames = (verbs: readonly Verb[], models: readonly string[]) =>
  models.flatMap(model => verbs.map(verb => `${verb} ${model}`))

/** All permissions, as AnimeThemes seeds them. */
export const PERMISSIONS: readonly string[] = [
  ...[...MODELS].flatMap(([model, verbs]) => permissionNames(verbs, [model])),
  ...SPECIAL,
]

/** The guards whose roles and permissions apply to users. New ones get the first. */
export const GUARDS = ['web', 'api'] as const

export interface SeededRole {
  name: string
  color: string | null
  priority: number
  /** Whether users receive it when their e-mail address is verified. */
  default: boolean
  permissions: readonly string[]
}

const BASE = ['view external entry', ...permissionNames(CRUD, OWNED_MODELS)]
const EDIT = [...CRUD, 'restore'] as const

const panelRole = (name: string, color: string, priority: number, ...permissions: string[]): SeededRole => ({
  name,
  color,
  priority,
  default: false,
  permissions: [...BASE, ...permissions, VIEW_PANEL],
})

/** AnimeThemes' roles, by descending priority. */
export const ROLES: readonly SeededRole[] = [
  {
    name: 'Admin',
    color: '#1F8B4C',
    priority: 250_000,
    default: false,
    permissions: [
      ...permissionNames(CRUD, ['external entry', ...OWNED_MODELS, 'submission']),
      ...permissionNames(CRUD, ['announcement', 'dump', 'featured theme', 'role', 'sanction']),
      ...permissionNames(['view', 'update'], ['feature', 'prohibition']),
      ...permissionNames(['view'], ['permission']),
      ...permissionNames(ALL, ['user', ...WIKI]),
      ...SPECIAL.filter(name => name !== BYPASS_AUTHORIZATION),
    ],
  },
  panelRole('Encoder', '#FFC107', 150_000, ...permissionNames(EDIT, WIKI)),
  panelRole('Developer', '#FF69B4', 125_000, ...permissionNames(['view'], WIKI)),
  panelRole(
    'Content Moderator',
    '#2E5A88',
    100_000,
    ...permissionNames(
      EDIT,
      WIKI.filter(model => !['audio', 'video', 'video script'].includes(model)),
    ),
    ...permissionNames(['view', 'update'], ['audio', 'video']),
    ...permissionNames(['view'], ['video script']),
  ),
  panelRole('Patron', '#E74C3C', 75_000, ...permissionNames(['view'], WIKI), 'bypass feature flags'),
  panelRole('Contributor', '#052C41', 50_000, ...permissionNames(['view'], WIKI)),
  panelRole('Panel Viewer', '#2596D1', 25_000, ...permissionNames(['view'], WIKI)),
  { name: 'Verified', color: null, priority: 0, default: true, permissions: BASE },
]

/** Why an action is refused: the permission is missing, or prohibited. */
export type Refusal = 'missing' | 'prohibited'

/**
 * Returns why a holder may not use a permission; null if it may.
 *
 * `bypass authorization` overrules everything else; a prohibition overrules other permissions.
 */
export function findRefusal(
  holder: { permissions: ReadonlySet<string>; prohibitions: ReadonlySet<string> },
  permission: string,
): Refusal | null {
  if (bypassesAuthorization(holder)) return null
  if (holder.prohibitions.has(permission)) return 'prohibited'
  return holder.permissions.has(permission) ? null : 'missing'
}

/** Whether a holder has all permissions of a list, and so may grant and revoke them. */
export const hasAllPermissions = (
  holder: Parameters<typeof findRefusal>[0],
  names: readonly string[],
): boolean => names.every(name => findRefusal(holder, name) === null)

/** Whether policies allow everything, rows of other users included. */
export const bypassesAuthorization = ({ permissions }: { permissions: ReadonlySet<string> }): boolean =>
  permissions.has(BYPASS_AUTHORIZATION)

/** Whether the caller owns a row, or has `bypass authorization`. */
export const isOwner = (
  identity: { user: { id: number }; permissions: ReadonlySet<string> } | null,
  ownerId: number | null,
): boolean => identity !== null && (identity.user.id === ownerId || bypassesAuthorization(identity))

/** Whether feature flags and quotas do not apply. */
export const bypassesFeatureFlags = ({ permissions }: { permissions: ReadonlySet<string> }): boolean =>
  permissions.has(BYPASS_FEATURE_FLAGS)

/** Whether a user with these permissions counts as staff. Bans do not matter. */
export const isStaff = (permissions: ReadonlySet<string>): boolean =>
  permissions.has(VIEW_PANEL) || bypassesAuthorization({ permissions })
