/** A change of one source file. */
export interface Edit {
  /** The TypeScript source, from the project's folder. */
  file: string
  /** The text to replace, which occurs exactly once. */
  find: string
  replace: string
}

/** A guard that is removed, and the tests that must notice. */
export interface Mutant extends Edit {
  /** The guard in a few words; unique within its area. */
  name: string
  /** Further edits, if several guards refuse the same and one would be enough. */
  also?: readonly Edit[]
  /** Test files of which at least one must fail, the narrowest first. */
  tests: readonly string[]
  /** Why it is accepted that no test fails. */
  survives?: string
}

/** The mutants of one area. */
export interface Area {
  area: string
  mutants: readonly Mutant[]
}

/** All edits of a mutant. */
export const editsOf = ({ file, find, replace, also = [] }: Mutant): Edit[] => [
  { file, find, replace },
  ...also,
]

/** Makes an edit of a source. @throws {Error} when the text does not occur exactly once */
export function applied(source: string, { file, find, replace }: Edit): string {
  const places = source.split(find).length - 1
  if (places !== 1) throw new Error(`${places} times in ${file}: ${find}`)
  return source.replace(find, () => replace)
}
