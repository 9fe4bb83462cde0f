/** A field of a form, with the value that a browser would send. */
export interface Field {
  name: string
  value: string
  /** Values that a person could choose instead. */
  choices: readonly string[]
  isHidden: boolean
}

/** A form of a page. */
export interface Form {
  method: string
  action: string
  fields: readonly Field[]
}

const decode = (text: string): string =>
  text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')

const attribute = (tag: string, name: string): string | undefined => {
  const [found, value] = new RegExp(`\\s${name}(?:="([^"]*)")?(?=[\\s>/])`).exec(tag) ?? []
  return found === undefined ? undefined : decode(value ?? '')
}

/** The forms of a page as this server writes them, which quotes all attributes. */
export function formsOf(html: string): Form[] {
  return [...html.matchAll(/(<form\b[^>]*>)(.*?)<\/form>/gs)].map(([, tag = '', inner = '']) => ({
    method: (attribute(tag, 'method') ?? 'get').toUpperCase(),
    action: attribute(tag, 'action') ?? '',
    fields: fieldsOf(inner),
  }))
}

function fieldsOf(html: string): Field[] {
  const fields: Field[] = []
  for (const [, tag = '', inner = ''] of html.matchAll(
    /(<(?:input|button|textarea|select)\b[^>]*>)(?:(?<=<(?:textarea|select)\b[^>]*>)(.*?)<\/(?:textarea|select)>)?/gs,
  )) {
    const name = attribute(tag, 'name')
    if (name === undefined) continue
    const type = attribute(tag, 'type') ?? ''
    const options = [...inner.matchAll(/<option\b[^>]*>/g)].map(
      ([option]) => attribute(option, 'value') ?? '',
    )
    fields.push({
      name,
      value: attribute(tag, 'value') ?? options[0] ?? (type === 'checkbox' ? 'on' : decode(inner)),
      choices: options,
      isHidden: type === 'hidden',
    })
  }
  return fields
}

/** The pages of the panel that a page links to. */
export const linksOf = (html: string): string[] =>
  [...html.matchAll(/<a\b[^>]*\shref="(\/admin[^"#]*)/g)].map(([, href = '']) => decode(href))
