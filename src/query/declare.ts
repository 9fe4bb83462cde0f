import type {
  ColumnOf,
  Field,
  Join,
  PivotFields,
  Relation,
  RelationAccess,
  Resource,
  ResourceShape,
  TableName,
} from './resource.ts'

type FieldOf<Table extends TableName> = Field<ColumnOf<Table>>

/** What a field must declare whose name is no column: the source of its value, or that it has none. */
type Sourced<Table extends TableName> =
  | { column: ColumnOf<Table> }
  | { column: null; shown: 'never'; filter?: false; sort?: false }
  | { computed: NonNullable<FieldOf<Table>['computed']> }
  | { aggregate: NonNullable<Field['aggregate']> }

/** Fields by name. Each is the column of that name unless declared otherwise. */
type FieldsOf<Table extends TableName, Name extends string> = {
  readonly [N in Name]: N extends ColumnOf<Table> ? FieldOf<Table> : FieldOf<Table> & Sourced<Table>
}

/** Declares the fields of a resource. Unknown tables and columns do not compile. */
export const shape = <const Table extends TableName, Name extends string>(
  declaration: Omit<ResourceShape, 'table' | 'key' | 'fields' | 'except' | 'onlyNull'> & {
    table: Table
    key: ColumnOf<Table>
    fields: FieldsOf<Table, Name>
    except?: { column: ColumnOf<Table>; value: string }
    onlyNull?: ColumnOf<Table>
  },
): ResourceShape<Table, Name> => declaration

/** A relation of a resource whose table has this column. */
type RelationFrom<Column extends string> = Omit<Relation, 'join'> & {
  join: Exclude<Join, { by: 'our column' }> | { by: 'our column'; column: Column }
}

/**
 * Makes a resource from its shape and relations.
 *
 * @throws {Error} when a field aggregates an undeclared relation
 */
export function resource<Table extends TableName>(
  shape: ResourceShape<Table>,
  relations: Readonly<Record<string, RelationFrom<ColumnOf<Table>>>> = {},
): Resource<Table> {
  for (const [name, { aggregate }] of Object.entries<Field>(shape.fields)) {
    if (aggregate !== undefined && !Object.hasOwn(relations, aggregate.relation)) {
      throw new Error(`${shape.type}.${name} counts ${aggregate.relation}, which is no relation`)
    }
  }
  return { ...shape, relations }
}

/** Declares a relation to the row whose key this row holds. */
export const belongsTo = <const Column extends string>(
  resource: () => Resource,
  { column, access }: { column: Column; access: RelationAccess },
) => ({ resource, many: false, access, join: { by: 'our column', column } }) as const

/** Declares a relation to the rows that hold this row's key. */
export const hasMany = <Table extends TableName>(
  resource: () => Resource<Table>,
  { column, access }: { column: ColumnOf<Table>; access: RelationAccess },
) => ({ resource, many: true, access, join: { by: 'their column', column } }) as const

/** Declares a polymorphic relation: to the rows that hold this row's key and class name. */
export const morphMany = <Table extends TableName>(
  resource: () => Resource<Table>,
  { id, type, access }: { id: ColumnOf<Table>; type: ColumnOf<Table>; access: RelationAccess },
) => ({ resource, many: true, access, join: { by: 'their morph', id, type } }) as const

/** Declares the fields of a pivot table. */
export const pivotFields = <const Table extends TableName, Name extends string>(
  shows: Omit<PivotFields, 'table' | 'fields'> & { table: Table; fields: FieldsOf<Table, Name> },
): PivotFields<Table> => shows

/** Declares a many-to-many relation through a pivot table. */
export const belongsToMany = <const Table extends TableName>(
  resource: () => Resource,
  {
    access,
    ...pivot
  }: {
    table: Table
    ours: ColumnOf<Table>
    theirs: ColumnOf<Table>
    type?: ColumnOf<Table>
    types?: readonly string[]
    onlyNull?: ColumnOf<Table>
    shows?: PivotFields<NoInfer<Table>>
    access: RelationAccess
  },
) => ({ resource, many: true, access, join: { by: 'pivot', ...pivot } }) as const
