/**
 * `make bench`: compares this server with others, and then measures further figures. All use one PostgreSQL, that of
 * BENCH_DATABASE_URL or one that is started. BENCH_ROUNDS and BENCH_SECONDS set the duration, and BENCH_ONLY selects by
 * parts of names: servers of the first table, and groups of figures of the second.
 */
import { compare } from './comparison.ts'
import { measureFigures } from './figures.ts'
import { onStage } from './stage.ts'

await onStage(async stage => {
  await compare(stage)
  await measureFigures(stage)
})
