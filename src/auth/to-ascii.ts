import anyAscii from 'any-ascii'
import { isAscii } from './name.ts'

/** Transliterates text of any script to ASCII. */
export const toAscii = (text: string): string => (isAscii(text) ? text : anyAscii(text))
