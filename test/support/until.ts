/** Waits, turn by turn of the event loop, until a condition holds: for what is done after an answer. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise(setImmediate)
}
