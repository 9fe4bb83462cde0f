/** A change of one source file. */
export interface Edit {
  /** The TypeScript source, from the project's folder. */
  file: string
  /** What stands there exactly once. */
  find: string
  replace: string
}

/** A guard that is removed, and what must notice. */
export interface Mutant extends Edit {
  /** What the guard refuses, in a few words; unique within its area. */
  name: string
  /** More edits, where several guards refuse the same and each of them would be enough. */
  also?: readonly Edit[]
  /** Test files of which at least one must fail, the narrowest first. */
  tests: readonly string[]
  /** Why it is accepted that none of them fails. */
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

/** Makes an edit of a source. @throws {Error} when what it replaces does not stand there exactly once */
export function applied(source: string, { file, find, replace }: Edit): string {
  const places = source.split(find).length - 1
  if (places !== 1) throw new Error(`${places} times in ${file}: ${find}`)
  return source.replace(find, () => replace)
}
