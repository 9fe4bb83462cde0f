import { domainToASCII } from 'node:url'

const MAX_LOCAL = 64

/** RFC 5321 §4.5.3.1 allows 64 characters, an @ and 255 more. */
const MAX_ADDRESS = 320

/**
 * An e-mail address in the form in which new ones are kept, so that one mailbox has one account: Unicode in its
 * composed form, the domain in lower case and in ASCII (RFC 5890), without a dot at its end. Letters beyond ASCII
 * become lower case as well, since not every database folds them. What is no address stays as it is.
 */
export function canonicalEmail(text: string): string {
  if (text.length > MAX_ADDRESS) return text
  const address = text.trim().normalize('NFKC')
  const at = address.lastIndexOf('@')
  const [local, host] = [address.slice(0, at), address.slice(at + 1).replace(/\.$/, '')]
  // URLs know other forms of hosts, and parts behind them, of which mail knows nothing.
  if (at < 1 || /[^a-z0-9.\u0080-\uffff-]/i.test(host) || NUMERIC_HOST.test(host)) return address
  const domain = domainToASCII(host)
  if (domain === '') return address
  return `${/^[ -~]*$/.test(local) ? local : local.toLowerCase()}@${domain}`
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
    /^[^\s\p{C}"(),.:;<>@[\\\]]+(\.[^\s\p{C}"(),.:;<>@[\\\]]+)*$/u.test(local) &&
    /^[\p{L}\p{N}]([\p{L}\p{M}\p{N}-]{0,61}[\p{L}\p{M}\p{N}])?(\.[\p{L}\p{N}]([\p{L}\p{M}\p{N}-]{0,61}[\p{L}\p{M}\p{N}])?)*$/u.test(
      domain,
    )
  )
}
