import { ABILITIES, ALL_ABILITIES } from '#src/auth/ability.ts'

const all = Object.keys(ABILITIES)

/** Named sets of abilities for new tokens. */
export const PRESETS = {
  read: {
    label: 'Read only',
    about: 'read all your data, change nothing',
    abilities: all.filter(ability => ability.startsWith('read:')),
  },
  playlists: {
    label: 'Playlists',
    about: 'read and change playlists and their tracks',
    abilities: ['read:playlist', 'write:playlist'],
  },
  all: {
    label: 'Full access',
    about: 'all current and future abilities, including creating tokens',
    abilities: [ALL_ABILITIES],
  },
} as const satisfies Record<string, { label: string; about: string; abilities: readonly string[] }>

/** The choice of single abilities, which is the default. */
export const CUSTOM = 'some'

/** A choice of abilities for a new token. */
export type AbilityChoice = keyof typeof PRESETS | typeof CUSTOM

/** All choices. */
export const ABILITY_CHOICES: readonly AbilityChoice[] = [
  CUSTOM,
  ...(Object.keys(PRESETS) as (keyof typeof PRESETS)[]),
]
