import { type TString, Type } from 'typebox'
import { documentAs } from './documented.ts'

/**
 * The path parameter with a row's id. It accepts all text, because any but a number is the id of no row; in OpenAPI it is
 * an integer.
 */
export const rowIdParameter = (description: string, example: string): TString =>
  documentAs(Type.String({ description, examples: [example] }), { schema: { type: 'integer', minimum: 1 } })

/** A row's id in a path or form. */
export const RowId = Type.String({ description: 'The id.', examples: ['42'] })

/** Parses a row's id; 0, which no row has, for other text. */
export const parseRowId = (text: string): number => (/^\d{1,15}$/.test(text) ? Number(text) : 0)
