import { join } from 'node:path'

/** The folder of the project. */
export const ROOT = join(import.meta.dirname, '../..')

/** How often everything is measured: BENCH_ROUNDS. What is reported are medians. */
export const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5)

/** How long each measurement takes: BENCH_SECONDS. */
export const SECONDS = Number(process.env.BENCH_SECONDS ?? 5)

/** Requests between the two looks at a server's memory: BENCH_MEMORY_REQUESTS. */
export const MEMORY_REQUESTS = Number(process.env.BENCH_MEMORY_REQUESTS ?? 1_000_000)

/** Seconds of load before a measurement, in which the server's code is compiled. */
export const WARM_UP = 3

/** Connections that callers share, unless a measurement says otherwise. */
export const CONNECTIONS = 32

const only = process.env.BENCH_ONLY?.split(',')

/** Whether BENCH_ONLY, comma-separated parts of names, asks for a measurement. */
export const isAskedFor = ({ name }: { name: string }): boolean =>
  only === undefined || only.some(part => name.includes(part))
