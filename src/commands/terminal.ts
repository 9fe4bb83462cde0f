import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { CommandError } from './context.ts'

/**
 * Prompts on a terminal for a line without echo.
 *
 * @param output the stream for the prompt; standard output is for the command's result
 * @throws {CommandError} when the input ends or is interrupted (Ctrl-C, Ctrl-D) before the end of the line
 */
export function askSecretly(
  question: string,
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  // In terminal mode readline handles editing keys and disables the terminal's echo.
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
