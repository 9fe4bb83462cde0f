import type ajvCompiler from '@fastify/ajv-compiler'
import { lazy } from '#src/runtime/lazy.ts'
import { lazyPackage } from '#src/runtime/lazy-package.ts'

type BuildValidator = ReturnType<typeof ajvCompiler>

type Validator = ((data: unknown) => boolean) & { errors?: unknown }

/** The actual signature. The types declare only the schema, but Fastify passes the route. */
type Compile = (route: { schema: unknown }) => Validator

const ajv = lazyPackage<typeof ajvCompiler>('@fastify/ajv-compiler')
const compilers = lazy(() => ajv()())

/** Compiled validators by schema, shared by all servers in this process. */
const compiledBySchema = new Map<string, Validator>()

/**
 * Compiles schemas lazily, with the first request that needs them, and equal schemas once. For
 * `schemaController.compilersFactory.buildValidator`. Compiling all schemas took half of the start-up time.
 */
export const lazyValidators: BuildValidator = (externals, options) => {
  const known = Object.keys(externals).join()
  const compileNow = (schema: unknown) => (compilers()(externals, options) as unknown as Compile)({ schema })

  const compile: Compile = ({ schema }) => {
    let compiled: Validator | undefined
    const validate: Validator = data => {
      compiled ??= compileOnce(`${known} ${JSON.stringify(schema)}`, () => compileNow(schema))
      const isValid = compiled(data)
      validate.errors = compiled.errors
      return isValid
    }
    return validate
  }
  return compile as unknown as ReturnType<BuildValidator>
}

function compileOnce(key: string, compile: () => Validator): Validator {
  const validator = compiledBySchema.get(key) ?? compile()
  compiledBySchema.set(key, validator)
  return validator
}
