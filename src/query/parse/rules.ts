import type { Endpoint, Field, Resource } from '../resource.ts'

/** What an endpoint offers, computed once. */
export interface Rules {
  endpoint: Endpoint
  types: ReadonlyMap<string, Resource>
  paths: readonly string[]
}

/** Finds a field by a name from the client, which may be one of Object.prototype. */
export const findField = ({ fields }: Resource, name: string): Field | undefined =>
  Object.hasOwn(fields, name) ? fields[name] : undefined
