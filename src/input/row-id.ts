import { type TString, Type } from 'typebox'

const rowIds = new WeakSet<object>()

/**
 * The path parameter with a row's id. It accepts all text, because any but a number is the id of no row; in OpenAPI it is
 * an integer.
 */
export function rowIdParameter(description: string, example: string): TString {
  const schema = Type.String({ description, examples: [example] })
  rowIds.add(schema)
  return schema
}

/** Whether a schema is a {@link rowIdParameter}. */
export const isRowId = (schema: object): boolean => rowIds.has(schema)

/** A row's id in a path or form. */
export const RowId = Type.String({ description: 'The id.', examples: ['42'] })

/** Parses a row's id; 0, which no row has, for other text. */
export const parseRowId = (text: string): number => (/^\d{1,15}$/.test(text) ? Number(text) : 0)
