import {
  type CompiledQuery,
  createQueryId,
  type Kysely,
  PostgresQueryCompiler,
  type RawBuilder,
} from 'kysely'
import type { Schema } from './schema.ts'

/** What runs compiled statements: Kysely, or a connection without the cost of making a Kysely for it. */
export type StatementRunner = Pick<Kysely<Schema>, 'executeQuery'>

const compiler = new PostgresQueryCompiler()

/** Compiles SQL to text and parameters, independently of a connection. */
export const compileSql = <Row>(fragment: RawBuilder<Row>): CompiledQuery<Row> =>
  compiler.compileQuery(fragment.toOperationNode(), createQueryId()) as CompiledQuery<Row>
