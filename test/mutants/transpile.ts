import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'

/** Makes the JavaScript of one TypeScript source, as tsc does with the settings of the project. */
export function transpiler(project: string): (source: string, file: string) => string {
  const { config } = ts.parseConfigFileTextToJson(
    'tsconfig.json',
    readFileSync(join(project, 'tsconfig.json'), 'utf8'),
  )
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, project)
  // transpileModule() does not read package.json, so the module type has to be set.
  const compilerOptions = { ...options, module: ts.ModuleKind.ESNext, sourceMap: false }
  return (source, fileName) => ts.transpileModule(source, { fileName, compilerOptions }).outputText
}
