import { lazyPackage } from '#src/runtime/lazy-package.ts'
import { isAscii } from './name.ts'

/** Half a megabyte of tables, for text that few users have. */
const anyAscii = lazyPackage<typeof import('any-ascii')>('any-ascii')

/** Transliterates text of any script to ASCII. */
export const toAscii = (text: string): string => (isAscii(text) ? text : anyAscii().default(text))
