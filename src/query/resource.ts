import type { Ability } from '#src/auth/ability.ts'
import type { TokenLifetimes } from '#src/auth/identity.ts'
import type { Schema } from '#src/database/schema.ts'

export type TableName = keyof Schema

/** The columns of each table. */
type Columns = { [Table in TableName]: keyof Schema[Table] & string }

/** The columns of a table, or of any of several tables. */
export type ColumnOf<Table extends TableName> = Columns[Table]

/** The type of a field, which decides how it is filtered, sorted and rendered. */
export type Kind = 'string' | 'integer' | 'float' | 'boolean' | 'date' | 'enum' | 'json'

/** A field of a resource: the single declaration of its behaviour. */
export interface Field<Column extends string = string> {
  kind: Kind
  /** Rendered by default; only when requested; or never, although the name may be requested. */
  shown: 'default' | 'optional' | 'never'
  /** Its description in OpenAPI. */
  about?: string
  /** The JSON Schema of a value of the kind `json`, besides null. */
  schema?: object
  example?: unknown
  /** The column, if it differs from the field's name; null for a field without a value. */
  column?: Column | null
  nullable?: boolean
  /** Whether it can be filtered; rendered fields can by default. */
  filter?: boolean
  /** Whether it can be sorted; rendered fields can by default. */
  sort?: boolean
  /** An enum's labels by their stored values. */
  labels?: readonly string[]
  /** Whether comparisons are case-sensitive. */
  caseSensitive?: boolean
  /** Whether the column must be cast to text for comparisons. */
  castToText?: boolean
  /** Whether a date is rendered as the database formats it. */
  isRawText?: boolean
  /** A value computed from columns. It can be neither filtered nor sorted. */
  computed?: {
    columns: readonly Column[]
    value: (values: Readonly<Record<string, unknown>>, settings: ComputeSettings) => unknown
  }
  /** The count or existence of related rows, instead of a column. */
  aggregate?: { of: 'count' | 'exists'; relation: string }
}

/** The settings that computed fields depend on. */
export interface ComputeSettings {
  wikiUrls: WikiUrls
  tokenLifetimes: TokenLifetimes
}

/** The base URLs of the wiki's files; null where not configured. */
export interface WikiUrls {
  audio: string | null
  image: string | null
  video: string | null
}

/** How the rows of a relation are found. */
export type Join =
  /** A column of this table holds the related row's key. */
  | { by: 'our column'; column: string }
  /** A column of the related table holds this row's key. */
  | { by: 'their column'; column: string }
  /** Two columns of the related table hold this row's key and class name. */
  | { by: 'their morph'; id: string; type: string }
  /** A pivot table holds both keys. */
  | {
      by: 'pivot'
      table: string
      ours: string
      theirs: string
      /** The column of this row's class name, and its possible values; those of users by default. */
      type?: string
      types?: readonly string[]
      /** A column that must be NULL for a row to count. */
      onlyNull?: string
      /** The fields of the pivot table to render in the related row. */
      shows?: PivotFields
    }

/** Fields of a pivot table. */
export interface PivotFields<Table extends TableName = TableName> {
  table: Table
  name: string
  about: string
  fields: Readonly<Record<string, Field>>
}

/** What including a relation requires, besides the access to the row that it starts from. */
export type RelationAccess =
  /** Nothing further. */
  | 'inherited'
  /** An ability of the caller's token, and a permission whose use must not be prohibited. */
  | { ability: Ability; permission: string | null }

export interface Relation {
  /** A function, since resources refer to each other. */
  resource: () => Resource
  many: boolean
  join: Join
  access: RelationAccess
}

/** A resource without its relations. */
export interface ResourceShape<Table extends TableName = TableName, Name extends string = string> {
  /** The singular, lower-case name, as in `fields[playlist]`. */
  type: string
  /** The name of its schema in OpenAPI. */
  schemaName: string
  /** The name of a list. */
  plural: string
  about: string
  /** Whether its rows belong to the wiki, which this server only reads. */
  isWiki?: true
  table: Table
  /** The key column. */
  key: string
  /** In JSON order. */
  fields: Readonly<Record<Name, Field>>
  /** Rows that the API excludes. */
  except?: { column: string; value: string }
  /** A column that must be NULL in rows of the API. */
  onlyNull?: string
}

/** A resource of the API: one declaration defines its rules, SQL, JSON and documentation. */
export interface Resource<Table extends TableName = TableName> extends ResourceShape<Table> {
  relations: Readonly<Record<string, Relation>>
}

/** What a list or row route offers of the query language. */
export interface Endpoint<Table extends TableName = TableName> {
  resource: Resource<Table>
  /** A paginated list, or one row. */
  kind: 'index' | 'show'
  /** The relations that can be included, as dotted paths. */
  includes: readonly string[]
  /** Whether the search parameter searches names, is ignored for clients that always send it, or is refused. */
  search: 'names' | 'ignored' | 'prohibited'
  /** Whether the rows have a fixed sequence, without filters and sorts. */
  isSequence?: boolean
  /** Whether it lists the rows of all users, so that the cost grows with the whole table. */
  listsAllUsers?: boolean
  /** The order that precedes the requested one. */
  order?: readonly { column: ColumnOf<Table>; descending: boolean }[]
}

const isShown = (field: Field) => field.shown !== 'never' && field.kind !== 'json'

/** Returns whether a field can be filtered. */
export const isFilterable = (field: Field): boolean =>
  field.filter ?? (isShown(field) && field.computed === undefined)

/** Returns whether a field can be sorted. */
export const isSortable = (field: Field): boolean =>
  field.sort ?? (isShown(field) && field.computed === undefined)

/** Returns the relation at the end of a path. @throws {Error} when it is not declared */
export function relationAt(resource: Resource, path: readonly string[]): Relation {
  const [name = '', ...rest] = path
  const relation = resource.relations[name]
  if (relation === undefined) throw new Error(`${resource.type} has no relation ${name}`)
  return rest.length === 0 ? relation : relationAt(relation.resource(), rest)
}

/** Returns every dotted path that can be included, with its prefixes, in the order of the declaration. */
export function includePaths({ includes }: Endpoint): string[] {
  const paths = includes.flatMap(path => {
    const parts = path.split('.')
    return parts.map((_, index) => parts.slice(0, index + 1).join('.'))
  })
  return [...new Set(paths)]
}

/** Returns the resources that an endpoint can show by type: its own and those of all its includes. */
export function endpointTypes(endpoint: Endpoint): ReadonlyMap<string, Resource> {
  const types = new Map([[endpoint.resource.type, endpoint.resource]])
  for (const path of includePaths(endpoint)) {
    const resource = relationAt(endpoint.resource, path.split('.')).resource()
    if (!types.has(resource.type)) types.set(resource.type, resource)
  }
  return types
}

/** Includes by name, each with the includes nested it. */
export type IncludeTree = ReadonlyMap<string, IncludeTree>

/** Converts dotted paths to a tree, in the order of the resource's declaration. */
export function includeTree(resource: Resource, paths: readonly string[]): IncludeTree {
  const tree = new Map<string, IncludeTree>()
  for (const name of Object.keys(resource.relations)) {
    const own = paths.filter(path => path === name || path.startsWith(`${name}.`))
    if (own.length === 0) continue
    const nested = own.filter(path => path !== name).map(path => path.slice(name.length + 1))
    tree.set(name, includeTree(relationAt(resource, [name]).resource(), nested))
  }
  return tree
}

/** Returns the access that the relations of an include tree require, in the order of their declarations. */
export function includeGuards(
  resource: Resource,
  includes: IncludeTree,
): Exclude<RelationAccess, 'inherited'>[] {
  return [...includes].flatMap(([name, nested]) => {
    const { access, resource: other } = relationAt(resource, [name])
    return [...(access === 'inherited' ? [] : [access]), ...includeGuards(other(), nested)]
  })
}
