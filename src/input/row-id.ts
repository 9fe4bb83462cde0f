import { Type } from 'typebox'

/** A row's id in a path or form. */
export const RowId = Type.String({ description: 'The id.', examples: ['42'] })

/** Parses a row's id; 0, which no row has, for other text. */
export const parseRowId = (text: string): number => (/^\d{1,15}$/.test(text) ? Number(text) : 0)
