/** A phrase that this project does not use, and what it uses instead. */
interface Rule {
  pattern: RegExp
  instead: string
}

const phrase = (pattern: string, instead: string): Rule => ({
  pattern: new RegExp(`\\b(?:${pattern.replaceAll(' ', ' +')})\\b`, 'gi'),
  instead,
})

const RULES: readonly Rule[] = [
  phrase('whoever|whomever|whosoever', 'the caller, the client, a user'),
  phrase("somebody(?:'s)?(?: else(?:'s)?)?", 'a user, another user'),
  phrase("nobody(?:'s)?", 'no user, no request, anonymous'),
  phrase("anybody(?:'s)?|everybody(?:'s)?", 'anyone, every user'),
  phrase('(?:is|are|was|were) seen to', 'is handled'),
  phrase('what stands|stands in the way|stand in for', 'what it is'),
  phrase('comes by here|come by here', 'every request runs this'),
  phrase('hangs? up|hung up|hang-ups?', 'disconnects'),
  phrase('the house|rooms? of the house', 'the modules'),
  phrase('has come|have come', 'arrived'),
  phrase('no more than that', 'only that'),
  phrase('(?:is|are|was|were) told of', 'receives, is notified of'),
  phrase('hands? on to', 'forwards to'),
  phrase('does without', 'needs no'),
  phrase('those who run (?:the place|it)', 'staff, operators'),
  phrase('what it takes', 'what it needs'),
  phrase('is nobody', 'is anonymous'),
  phrase('by whomever|of whomever', 'by any client'),
  phrase('what becomes of', 'the result of'),
  phrase('however many', 'any number of'),
  phrase('beside what', 'besides'),
  phrase('in whatever', 'in any'),
]

/** A phrase of the list in a text. */
export interface WordFault {
  /** Its line, from 1. */
  line: number
  found: string
  instead: string
}

/** Finds the phrases of the list in a text, also across the ends of lines of a comment. */
export function wordFaults(text: string): WordFault[] {
  return RULES.flatMap(({ pattern, instead }) =>
    [...joinLines(text).matchAll(pattern)].map(({ 0: found, index }) => ({
      line: text.slice(0, index).split('\n').length,
      found,
      instead,
    })),
  ).sort((a, b) => a.line - b.line)
}

/** The text with line ends, and the stars that begin lines of block comments, as spaces: phrases go across them. */
const joinLines = (text: string): string =>
  text.replace(/\n[ \t]*(?:\*|\/\/)? ?/g, between => ' '.repeat(between.length))
