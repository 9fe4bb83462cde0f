/** The result of a check; `fault` is null if it passed. */
interface Result {
  name: string
  fault: string | null
}

const results: Result[] = []
const skipped: string[] = []

/** Runs a check, and prints its name and what was wrong. @returns whether it passed */
export async function check(name: string, run: () => Promise<unknown>): Promise<boolean> {
  const from = performance.now()
  const fault = await run().then(
    () => null,
    (error: unknown) => (error instanceof Error ? (error.stack ?? error.message) : String(error)),
  )
  results.push({ name, fault })
  const seconds = ((performance.now() - from) / 1000).toFixed(1)
  process.stdout.write(`${name}: ${fault === null ? 'ok' : 'NOT OK'} (${seconds} s)\n`)
  if (fault !== null) process.stdout.write(`${fault}\n`)
  return fault === null
}

/** Notes that checks are not run, since this machine lacks something. With TEST_REQUIRE_ALL that fails. */
export function skip(name: string, missing: string): void {
  if (process.env.TEST_REQUIRE_ALL) {
    const fault = `${missing} cannot be found, and TEST_REQUIRE_ALL is set.`
    results.push({ name, fault })
    process.stdout.write(`${name}: NOT OK\n${fault}\n`)
  } else {
    skipped.push(`${name}: ${missing} was not found`)
  }
}

/** Prints the skipped checks, and counts the others. @returns the exit code */
export function report(): number {
  for (const text of skipped) process.stdout.write(`\n*** SKIPPED ${text}. ***\n`)
  const failed = results.filter(({ fault }) => fault !== null).length
  process.stdout.write(`\n${results.length - failed} passed, ${failed} failed\n`)
  return failed === 0 && results.length > 0 ? 0 : 1
}
