/** The abilities of tokens, with what they allow. A session has all of them; `*` stands for all. */
export const ABILITIES = {
  'read:me': "the user's sessions and activity",
  'write:me': "end the user's sessions",
  'read:playlist': 'playlists and their tracks',
  'write:playlist': 'create, change and delete playlists and their tracks',
  'read:externalprofile': 'external profiles and their entries',
  'write:externalprofile': 'create, change and delete external profiles',
  'read:notification': 'notifications',
  'write:notification': 'mark notifications as read or unread',
  'read:token': 'tokens, without their secrets',
  'write:token': 'create, rename, rotate and revoke tokens',
} as const

/** An ability that a route requires. */
export type Ability = keyof typeof ABILITIES

/** The abilities to read. */
export const READ_ABILITIES = (Object.keys(ABILITIES) as Ability[]).filter(ability =>
  ability.startsWith('read:'),
)

/** The wildcard: all abilities. */
export const ALL_ABILITIES = '*'

export const KNOWN_ABILITIES: readonly string[] = [ALL_ABILITIES, ...Object.keys(ABILITIES)]

/** The abilities that no route requires. */
export const unknownAbilities = (abilities: readonly string[]): string[] =>
  abilities.filter(ability => !KNOWN_ABILITIES.includes(ability))

/** Whether abilities include one, or the wildcard. */
export const allows = (abilities: readonly string[], ability: string): boolean =>
  abilities.includes(ALL_ABILITIES) || abilities.includes(ability)

/** Whether abilities include all others. */
export const covers = (abilities: readonly string[], others: readonly string[]): boolean =>
  others.every(ability => allows(abilities, ability))
