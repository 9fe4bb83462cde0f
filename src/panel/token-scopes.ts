import { ABILITIES, ALL_ABILITIES } from '#src/auth/ability.ts'

const all = Object.keys(ABILITIES)

/** What a new token can be made for, beside what is ticked: names of choices, with what each of them allows. */
export const PRESETS = {
  read: {
    label: 'Read only',
    about: 'see all that is yours, and change nothing',
    abilities: all.filter(ability => ability.startsWith('read:')),
  },
  playlists: {
    label: 'Playlists',
    about: 'see and change playlists and their tracks',
    abilities: ['read:playlist', 'write:playlist'],
  },
  all: {
    label: 'Everything that you may do',
    about: 'now and in future, further tokens included',
    abilities: [ALL_ABILITIES],
  },
} as const satisfies Record<string, { label: string; about: string; abilities: readonly string[] }>

/** The choice of what is ticked, which is made unless another one is. */
export const TICKED = 'some'

/** A choice of what a new token may do. */
export type Scope = keyof typeof PRESETS | typeof TICKED

/** All choices. */
export const SCOPES: readonly Scope[] = [TICKED, ...(Object.keys(PRESETS) as (keyof typeof PRESETS)[])]
