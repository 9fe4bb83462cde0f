/** What a token can be allowed to do here. A session may do all of it, and `*` allows everything. */
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

/** An ability that a route of ours asks for. */
export type Ability = keyof typeof ABILITIES

/** What stands for all of them. */
export const ALL_ABILITIES = '*'

/** The abilities that have a meaning here. */
export const KNOWN_ABILITIES: readonly string[] = [ALL_ABILITIES, ...Object.keys(ABILITIES)]

/** The abilities that nothing here asks for. */
export const unknownAbilities = (abilities: readonly string[]): string[] =>
  abilities.filter(ability => !KNOWN_ABILITIES.includes(ability))

/** Whether abilities allow one: exactly, or all of them. */
export const allows = (abilities: readonly string[], ability: string): boolean =>
  abilities.includes(ALL_ABILITIES) || abilities.includes(ability)

/** Whether abilities allow everything that others allow. */
export const covers = (abilities: readonly string[], others: readonly string[]): boolean =>
  others.every(ability => allows(abilities, ability))
