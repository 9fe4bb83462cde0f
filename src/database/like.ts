/** A text with what would be a wildcard in a LIKE pattern escaped. */
export const escapeLike = (text: string): string => text.replace(/[\\%_]/g, '\\$&')
