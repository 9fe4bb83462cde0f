import { domainToASCII } from 'node:url'
import { indexKey } from './index-key.ts'
import { removeInvisible } from './name.ts'

const MAX_LOCAL = 64

/** RFC 5321 §4.5.3.1 allows 64 characters, an @ and 255 more. */
const MAX_ADDRESS = 320

/** Input beyond this length is no address, even with whitespace around it. */
const MAX_INPUT = 1_000

/** Invisible characters that are copied along with an address: spaces, controls, byte order and directional marks. */
const INVISIBLE = '[\\s\\p{Z}\\p{Cc}\\p{Cf}\\p{Default_Ignorable_Code_Point}\\u2800]'
const SURROUNDING_INVISIBLE = new RegExp(`^${INVISIBLE}+|(?<!${INVISIBLE})${INVISIBLE}+$`, 'gu')

/** Trims invisible characters around an e-mail address. */
export const trimEmail = (text: string): string =>
  text.length > MAX_INPUT ? text : text.replace(SURROUNDING_INVISIBLE, '')

/** RFC 5321's dot-string, with letters of all scripts (RFC 6531). */
const DOT_STRING =
  /^[^\s\p{C}\p{Default_Ignorable_Code_Point}"(),.:;<>@[\\\]]+(\.[^\s\p{C}\p{Default_Ignorable_Code_Point}"(),.:;<>@[\\\]]+)*$/u

/** A quoted word of a local part (RFC 5322 §4.4): all of it, or between dots. */
const QUOTED = /(?<=^|\.)"((?:[^"\\]|\\.)*)"(?=\.|$)/gs

/** Removes redundant quotation marks of a local part (RFC 5321 §4.1.2): "jane" is jane, and "j.d" is j.d. */
const unquoteLocal = (local: string) =>
  local.replace(QUOTED, (whole, content: string) => {
    const unescaped = content.replace(/\\(.)/gs, '$1')
    return DOT_STRING.test(unescaped) ? unescaped : whole
  })

/**
 * Canonicalizes an e-mail address, so that one mailbox has one account: without invisible characters around it and
 * redundant quotation marks, in Unicode NFKC, the domain in lower case and ASCII (RFC 5890) without a trailing dot. A
 * local part with letters beyond ASCII is lower-cased as well, because not every database folds them. Text that is
 * not an address is returned unchanged.
 */
export function canonicalizeEmail(text: string): string {
  const trimmed = trimEmail(text)
  if (trimmed.length > MAX_ADDRESS) return text
  const address = trimmed.normalize('NFKC')
  const at = address.lastIndexOf('@')
  const [local, host] = [unquoteLocal(address.slice(0, at)), address.slice(at + 1).replace(/\.$/, '')]
  // The URL parser accepts other forms of hosts, and suffixes, that are invalid in mail.
  if (at < 1 || /[^a-z0-9.\u0080-\uffff-]/i.test(host) || NUMERIC_HOST.test(host)) return address
  const domain = domainToASCII(host)
  if (domain === '') return address
  return `${/^[ -~]*$/.test(local) ? local : local.toLowerCase()}@${domain}`
}

/**
 * The key that e-mail addresses are compared by, equal for all forms of one address: the canonical address in lower
 * case, without invisible characters.
 */
export function emailKey(text: string): string {
  const address = canonicalizeEmail(text)
  const at = Math.max(address.lastIndexOf('@'), 0)
  const local = unquoteLocal(removeInvisible(address.slice(0, at)).normalize('NFKC'))
  // Final sigma is a separate letter in lower case only.
  return indexKey(`${local}${address.slice(at)}`.toLowerCase().replaceAll('ς', 'σ'))
}

/** What the URL parser reads as an IPv4 address: the last label is a number. */
const NUMERIC_HOST = /(^|\.)(\d+|0x[\da-f]*)$/i

/**
 * Whether text is an e-mail address that mail can be sent to: RFC 5321's dot-string with letters of all scripts (RFC
 * 6531), and a domain name. Quoted forms are refused, because programs disagree about where such mail goes.
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
