import type { Ability } from '#src/auth/ability.ts'
import type { TokenLifetimes } from '#src/auth/identity.ts'
import type { Schema } from '#src/database/schema.ts'

export type TableName = keyof Schema

/** The columns of each table. */
type Columns = { [Table in TableName]: keyof Schema[Table] & string }

/** The columns of a table, or of any of several tables. */
export type ColumnOf<Table extends TableName> = Columns[Table]

/** What a field's values are: it decides how they are filtered, sorted and rendered. */
export type Kind = 'string' | 'integer' | 'float' | 'boolean' | 'date' | 'enum' | 'json'

/** A field of a resource. Everything that the API knows of it is said here, once. */
export interface Field<Column extends string = string> {
  kind: Kind
  /** Rendered unless other fields are asked for; only when asked for; or never, though the name may be asked for. */
  shown: 'default' | 'optional' | 'never'
  /** What it means, for the specification. */
  about?: string
  example?: unknown
  /** The column, where it is not the field's name; null for a name that may be asked for and has none. */
  column?: Column | null
  nullable?: boolean
  /** Whether it can be filtered by; whatever is rendered can, unless told otherwise. */
  filter?: boolean
  /** Whether it can be sorted by; whatever is rendered can, unless told otherwise. */
  sort?: boolean
  /** An enum's labels by their values in the database. */
  labels?: readonly string[]
  /** Whether upper and lower case are different in it. */
  caseSensitive?: boolean
  /** Whether the column has to be turned into text before it is compared with text. */
  castToText?: boolean
  /** A date that is handed on as the database writes it. */
  isRawText?: boolean
  /** What is made of columns, instead of one of them. It can be neither filtered nor sorted by. */
  computed?: {
    columns: readonly Column[]
    value: (values: Readonly<Record<string, unknown>>, settings: ComputeSettings) => unknown
  }
  /** A number or a truth about related rows, instead of a column. */
  aggregate?: { of: 'count' | 'exists'; relation: string }
}

/** The settings that computed fields depend on. */
export interface ComputeSettings {
  wikiUrls: WikiUrls
  tokenLifetimes: TokenLifetimes
}

/** Where the wiki's files can be seen, by what they are; null where nobody has said. */
export interface WikiUrls {
  audio: string | null
  image: string | null
  video: string | null
}

/** How the rows of a relation are found. */
export type Join =
  /** A column of ours holds the other's key. */
  | { by: 'our column'; column: string }
  /** A column of the other holds our key. */
  | { by: 'their column'; column: string }
  /** Two columns of the other hold our key and our class name. */
  | { by: 'their morph'; id: string; type: string }
  /** A table between holds both keys. */
  | {
      by: 'pivot'
      table: string
      ours: string
      theirs: string
      /** The column with our class name, and the names that it can be; those of users unless given. */
      type?: string
      types?: readonly string[]
      /** A column that is NULL in every row that counts. */
      onlyNull?: string
      /** What is shown of the table itself, under a name of its own in what is found through it. */
      shows?: PivotFields
    }

/** Fields of a table between two others. */
export interface PivotFields<Table extends TableName = TableName> {
  table: Table
  name: string
  about: string
  fields: Readonly<Record<string, Field>>
}

/** What a relation takes of whoever includes it, beside what the row took that it starts from. */
export type RelationAccess =
  /** Nothing: whoever may see the row may see what is related to it. */
  | 'inherited'
  /** An ability of the caller's token, and a permission that the caller must not be banned from using. */
  | { ability: Ability; permission: string | null }

export interface Relation {
  /** Called late, since resources refer to each other. */
  resource: () => Resource
  many: boolean
  join: Join
  access: RelationAccess
}

/** A resource without its relations: its names, and what it shows of which rows of a table. */
export interface ResourceShape<Table extends TableName = TableName, Name extends string = string> {
  /** The singular, lower-case name, as in `fields[playlist]`. */
  type: string
  /** What the specification calls it, where that is not its type. */
  schemaName?: string
  /** The name of a list of them. */
  plural: string
  about: string
  table: Table
  /** The column that identifies a row. */
  key: string
  /** In the order of the JSON. */
  fields: Readonly<Record<Name, Field>>
  /** Rows that do not exist as far as the API is concerned. */
  except?: { column: string; value: string }
  /** A column that is NULL in every row that exists as far as the API is concerned. */
  onlyNull?: string
}

/** A kind of thing that the API shows: one declaration makes its rules, its SQL, its JSON and its documentation. */
export interface Resource<Table extends TableName = TableName> extends ResourceShape<Table> {
  relations: Readonly<Record<string, Relation>>
}

/** What a route offers of a resource. */
export interface Endpoint<Table extends TableName = TableName> {
  resource: Resource<Table>
  /** A list with pages, or one thing. */
  kind: 'index' | 'show'
  /** The relations that may be included, as dotted paths. */
  includes: readonly string[]
  /** Whether the search parameter finds names, is accepted for clients who send it everywhere, or is refused. */
  search: 'names' | 'ignored' | 'prohibited'
  /** Whether the rows are a sequence of their own, which nothing filters or sorts. */
  isSequence?: boolean
  /** Whether it lists what belongs to everybody, so that its work grows with the whole table. */
  isForAll?: boolean
  /** The order that comes before whatever is asked for. */
  order?: readonly { column: ColumnOf<Table>; descending: boolean }[]
}

const isShown = (field: Field) => field.shown !== 'never' && field.kind !== 'json'

/** Whether a field can be filtered by. */
export const isFilterable = (field: Field): boolean => field.filter ?? isShown(field)

/** Whether a field can be sorted by. */
export const isSortable = (field: Field): boolean => field.sort ?? isShown(field)

/** The relation at the end of a dotted path. @throws when the declaration does not have it */
export function relationAt(resource: Resource, path: readonly string[]): Relation {
  const [name = '', ...rest] = path
  const relation = resource.relations[name]
  if (relation === undefined) throw new Error(`${resource.type} has no relation ${name}`)
  return rest.length === 0 ? relation : relationAt(relation.resource(), rest)
}

/** Every dotted path that may be included, with those that lead to it, in the order of the declaration. */
export function includePaths({ includes }: Endpoint): string[] {
  const paths = includes.flatMap(path => {
    const parts = path.split('.')
    return parts.map((_, index) => parts.slice(0, index + 1).join('.'))
  })
  return [...new Set(paths)]
}

/** The resources that an endpoint can show, by type: its own and those of all its includes. */
export function endpointTypes(endpoint: Endpoint): ReadonlyMap<string, Resource> {
  const types = new Map([[endpoint.resource.type, endpoint.resource]])
  for (const path of includePaths(endpoint)) {
    const resource = relationAt(endpoint.resource, path.split('.')).resource()
    if (!types.has(resource.type)) types.set(resource.type, resource)
  }
  return types
}

/** Includes by name, each with the includes below it. */
export type IncludeTree = ReadonlyMap<string, IncludeTree>

/** Dotted paths as a tree, in the order of the resource's declaration. */
export function includeTree(resource: Resource, paths: readonly string[]): IncludeTree {
  const tree = new Map<string, IncludeTree>()
  for (const name of Object.keys(resource.relations)) {
    const own = paths.filter(path => path === name || path.startsWith(`${name}.`))
    if (own.length === 0) continue
    const below = own.filter(path => path !== name).map(path => path.slice(name.length + 1))
    tree.set(name, includeTree(relationAt(resource, [name]).resource(), below))
  }
  return tree
}

/** What the relations of an include tree take, in the order of their declarations; nothing for those that take nothing. */
export function includeGuards(
  resource: Resource,
  includes: IncludeTree,
): Exclude<RelationAccess, 'inherited'>[] {
  return [...includes].flatMap(([name, below]) => {
    const { access, resource: other } = relationAt(resource, [name])
    return [...(access === 'inherited' ? [] : [access]), ...includeGuards(other(), below)]
  })
}
