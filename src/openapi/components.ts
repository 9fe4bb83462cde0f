/** The kinds of parts that an OpenAPI document shares between operations. */
type Kind = 'headers' | 'parameters' | 'requestBodies' | 'responses' | 'schemas'

/** A reference to a part. */
export interface Reference {
  $ref: string
}

/** The shared parts of an OpenAPI document, by kind and name. */
export class Components {
  readonly #parts: Record<Kind, Record<string, object>> = {
    headers: {},
    parameters: {},
    requestBodies: {},
    responses: {},
    schemas: {},
  }

  /**
   * Adds a part, unless it is there already, and returns a reference to it.
   *
   * @throws {Error} when the name stands for another part
   */
  refer(kind: Kind, name: string, part: object): Reference {
    const known = this.#parts[kind][name]
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(part)) {
      throw new Error(`The OpenAPI document has two ${kind} with the name ${name}.`)
    }
    this.#parts[kind][name] = part
    return { $ref: `#/components/${kind}/${name}` }
  }

  /** Adds a part under the first of some names that does not stand for another part. */
  referToAny(kind: Kind, names: readonly string[], part: object): Reference {
    const text = JSON.stringify(part)
    const isFree = (name: string) => JSON.stringify(this.#parts[kind][name] ?? part) === text
    return this.refer(kind, names.find(isFree) ?? (names.at(-1) as string), part)
  }

  /** All parts, in the order of their names. */
  toJSON(): Record<Kind, Record<string, object>> {
    return Object.fromEntries(
      Object.entries(this.#parts).map(([kind, parts]) => [
        kind,
        Object.fromEntries(Object.entries(parts).sort(([a], [b]) => (a < b ? -1 : 1))),
      ]),
    ) as Record<Kind, Record<string, object>>
  }
}
