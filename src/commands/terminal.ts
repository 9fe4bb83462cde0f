import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { CommandError } from './context.ts'

/**
 * Asks on a terminal for a line that is not shown while it is typed.
 *
 * @param output where the question stands; standard output is for what a command prints
 * @throws {CommandError} when the input ends or is interrupted (Ctrl-C, Ctrl-D) before the line does
 */
export function askSecretly(
  question: string,
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  // As a terminal, so that the keys for mending a line work, and the terminal itself shows nothing.
  const lines = createInterface({ input, output: nowhere, terminal: true, historySize: 0 })
  output.write(question)
  return new Promise<string>((resolve, reject) => {
    lines.once('line', resolve)
    lines.once('SIGINT', () => lines.close())
    lines.once('close', () => reject(new CommandError('No password was entered.')))
  }).finally(() => {
    lines.close()
    output.write('\n')
  })
}
