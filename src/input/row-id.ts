import { Type } from 'typebox'

/** A row's id as a path or a form has it. */
export const RowId = Type.String({ description: 'The id.', examples: ['42'] })

/** The number that a text names; 0, which no row has, for what is none. */
export const rowId = (text: string): number => (/^\d{1,15}$/.test(text) ? Number(text) : 0)
