/**
 * Replaces `${NAME}` in the text of a setting by the value of that variable, as Laravel does in `.env`. References in that
 * value are replaced as well, unless they lead back. What names no variable stays, and `\${NAME}` is the text `${NAME}`.
 *
 * @param textOf returns the text of a variable, undefined if there is none
 */
export function expandReferences(
  text: string,
  textOf: (name: string) => string | undefined,
  outer: readonly string[] = [],
): string {
  return text.replace(/\\?\$\{([A-Z_][A-Z0-9_]*)\}/gi, (reference, name: string) => {
    if (reference.startsWith('\\')) return reference.slice(1)
    const value = outer.includes(name) ? undefined : textOf(name)
    return value === undefined ? reference : expandReferences(value, textOf, [...outer, name])
  })
}
