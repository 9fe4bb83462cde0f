import ajvCompiler from '@fastify/ajv-compiler'

type BuildValidator = ReturnType<typeof ajvCompiler>

type Validator = ((data: unknown) => boolean) & { errors?: unknown }

/** As it is: its types say that a schema alone is passed on, and Fastify passes its route, too. */
type Compile = (route: { schema: unknown }) => Validator

const compilers = ajvCompiler()

/** Compiled validators by their schemas, of all servers in this process. */
const compiledBySchema = new Map<string, Validator>()

/**
 * Makes validators of requests that compile their schema with the first request that needs them, and equal schemas
 * once: for `schemaController.compilersFactory.buildValidator`. Compiling all of them took half of every start, and most
 * routes are rarely asked.
 */
export const lazyValidators: BuildValidator = (externals, options) => {
  const known = Object.keys(externals).join()
  const compileNow = (schema: unknown) => (compilers(externals, options) as unknown as Compile)({ schema })

  const compile: Compile = ({ schema }) => {
    let compiled: Validator | undefined
    const validate: Validator = data => {
      compiled ??= once(`${known} ${JSON.stringify(schema)}`, () => compileNow(schema))
      const isValid = compiled(data)
      validate.errors = compiled.errors
      return isValid
    }
    return validate
  }
  return compile as unknown as ReturnType<BuildValidator>
}

function once(key: string, compile: () => Validator): Validator {
  const validator = compiledBySchema.get(key) ?? compile()
  compiledBySchema.set(key, validator)
  return validator
}
