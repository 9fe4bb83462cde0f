import type { Endpoint, Field, Resource } from '../resource.ts'

/** What an endpoint offers, worked out once. */
export interface Rules {
  endpoint: Endpoint
  types: ReadonlyMap<string, Resource>
  paths: readonly string[]
}

/** A field by a name that somebody else chose, which may be one that every object has. */
export const ownField = ({ fields }: Resource, name: string): Field | undefined =>
  Object.hasOwn(fields, name) ? fields[name] : undefined
