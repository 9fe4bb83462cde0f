import { domainToASCII } from 'node:url'
import { indexKey } from './index-key.ts'
import { withoutInvisible } from './name.ts'

const MAX_LOCAL = 64

/** RFC 5321 §4.5.3.1 allows 64 characters, an @ and 255 more. */
const MAX_ADDRESS = 320

/** More characters than this are no address, whatever stands around one. */
const MAX_TYPED = 1_000

/** What cannot be seen and comes along when an address is copied: spaces, controls, marks of order and of direction. */
const UNSEEN = '[\\s\\p{Z}\\p{Cc}\\p{Cf}\\p{Default_Ignorable_Code_Point}\\u2800]'
const AROUND = new RegExp(`^${UNSEEN}+|(?<!${UNSEEN})${UNSEEN}+$`, 'gu')

/** An e-mail address as it was typed, without what cannot be seen before and after it. */
export const typedEmail = (text: string): string =>
  text.length > MAX_TYPED ? text : text.replace(AROUND, '')

/** RFC 5321's dot-string, with letters of whatever script (RFC 6531). */
const DOT_STRING =
  /^[^\s\p{C}\p{Default_Ignorable_Code_Point}"(),.:;<>@[\\\]]+(\.[^\s\p{C}\p{Default_Ignorable_Code_Point}"(),.:;<>@[\\\]]+)*$/u

/** A quoted word of a local part (RFC 5322 §4.4), the whole of it or between dots. */
const QUOTED = /(?<=^|\.)"((?:[^"\\]|\\.)*)"(?=\.|$)/gs

/** A local part without quotation marks that change nothing (RFC 5321 §4.1.2): "jane" is jane, and "j.d" is j.d. */
const unquoted = (local: string) =>
  local.replace(QUOTED, (whole, content: string) => {
    const meant = content.replace(/\\(.)/gs, '$1')
    return DOT_STRING.test(meant) ? meant : whole
  })

/**
 * An e-mail address in the form in which new ones are kept, so that one mailbox has one account: without what cannot be
 * seen around it and without needless quotation marks, Unicode in its composed form, the domain in lower case and in
 * ASCII (RFC 5890), without a dot at its end. Letters beyond ASCII become lower case as well, since not every database
 * folds them. What is no address stays as it is.
 */
export function canonicalEmail(text: string): string {
  const typed = typedEmail(text)
  if (typed.length > MAX_ADDRESS) return text
  const address = typed.normalize('NFKC')
  const at = address.lastIndexOf('@')
  const [local, host] = [unquoted(address.slice(0, at)), address.slice(at + 1).replace(/\.$/, '')]
  // URLs know other forms of hosts, and parts behind them, of which mail knows nothing.
  if (at < 1 || /[^a-z0-9.\u0080-\uffff-]/i.test(host) || NUMERIC_HOST.test(host)) return address
  const domain = domainToASCII(host)
  if (domain === '') return address
  return `${/^[ -~]*$/.test(local) ? local : local.toLowerCase()}@${domain}`
}

/**
 * The key by which e-mail addresses are compared: the same for all forms of one. It is the canonical address in lower
 * case, without invisible characters.
 */
export function emailKey(text: string): string {
  const address = canonicalEmail(text)
  const at = Math.max(address.lastIndexOf('@'), 0)
  const local = unquoted(withoutInvisible(address.slice(0, at)).normalize('NFKC'))
  // A sigma at the end of a word is a letter of its own in lower case alone.
  return indexKey(`${local}${address.slice(at)}`.toLowerCase().replaceAll('ς', 'σ'))
}

/** What URLs take for an IPv4 address: its last label is a number. */
const NUMERIC_HOST = /(^|\.)(\d+|0x[\da-f]*)$/i

/**
 * Whether a text is an e-mail address that mail can be sent to: RFC 5321's dot-string, and letters of whatever
 * script (RFC 6531), before a domain name. Quoted forms are refused: programs disagree about where such mail goes.
 */
export function isEmail(text: string): boolean {
  const at = text.lastIndexOf('@')
  if (at === -1) return false
  const [local, domain] = [text.slice(0, at), text.slice(at + 1)]
  return (
    text.length <= MAX_ADDRESS &&
    local.length <= MAX_LOCAL &&
    !NUMERIC_HOST.test(domain) &&
    DOT_STRING.test(local) &&
    /^[\p{L}\p{N}]([\p{L}\p{M}\p{N}-]{0,61}[\p{L}\p{M}\p{N}])?(\.[\p{L}\p{N}]([\p{L}\p{M}\p{N}-]{0,61}[\p{L}\p{M}\p{N}])?)*$/u.test(
      domain,
    )
  )
}
