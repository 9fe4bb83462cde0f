import { join } from 'node:path'

/** The project's directory. */
export const ROOT = join(import.meta.dirname, '../..')

/** The number of rounds: BENCH_ROUNDS. Medians are reported. */
export const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5)

/** The duration of each measurement: BENCH_SECONDS. */
export const SECONDS = Number(process.env.BENCH_SECONDS ?? 5)

/** Requests between two measurements of memory: BENCH_MEMORY_REQUESTS. */
export const MEMORY_REQUESTS = Number(process.env.BENCH_MEMORY_REQUESTS ?? 1_000_000)

/** Seconds of load before a measurement, in which code is compiled (JIT). */
export const WARM_UP = 3

/** The connections of callers by default. */
export const CONNECTIONS = 32

const only = process.env.BENCH_ONLY?.split(',')

/** Returns whether BENCH_ONLY, comma-separated parts of names, selects a measurement. */
export const isSelected = ({ name }: { name: string }): boolean =>
  only === undefined || only.some(part => name.includes(part))
