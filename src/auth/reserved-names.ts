import anyAscii from 'any-ascii'
import { lazy } from '#src/runtime/lazy.ts'
import { isAscii, nameKeys } from './name.ts'

/** Names under which a user could pass for those who run the place, for a program or for a page of the site. */
const RESERVED = [
  ...['abuse', 'account', 'accounts', 'admin', 'administrator', 'admins', 'all', 'animethemes', 'anonymous'],
  ...['api', 'auth', 'billing', 'bot', 'contact', 'contact-us', 'deleted', 'dmca', 'docs', 'everyone', 'ftp'],
  ...['guest', 'help', 'helpdesk', 'here', 'hostmaster', 'imap', 'info', 'legal', 'login', 'logout', 'mail'],
  ...['mailer-daemon', 'me', 'mod', 'moderation', 'moderator', 'moderators', 'mods', 'news', 'no-reply'],
  ...['nobody', 'none', 'noreply', 'null', 'official', 'operator', 'owner', 'password', 'pop', 'postmaster'],
  ...['privacy', 'register', 'registration', 'root', 'safety', 'sales', 'sanctum', 'security', 'self'],
  ...['server', 'service', 'settings', 'shop', 'signup', 'smtp', 'staff', 'status', 'superuser', 'support'],
  ...['sysadmin', 'sysop', 'system', 'team', 'terms', 'undefined', 'unknown', 'user', 'username', 'users'],
  ...['webmaster', 'www'],
]

const keys = lazy(() => ({
  keys: new Set(RESERVED.map(name => nameKeys(name).key)),
  skeletons: new Set(RESERVED.map(name => nameKeys(name).skeleton)),
}))

/**
 * Whether a user name is kept from users, or cannot be told from one that is: by its key, and by its looks if it has
 * characters beyond ASCII. Neither hyphens and underscores nor another script make it another one.
 */
export function isReservedName(name: string): boolean {
  // Letters with strokes and hooks, turned ones, and names as other scripts write them look like none of Unicode's table.
  const written = isAscii(name) ? name : anyAscii(name)
  return [name, name.replace(/[-_]/g, ''), written.replace(/[^a-z0-9]/gi, '')].some(form => {
    const { key, skeleton } = nameKeys(form)
    return keys().keys.has(key) || (!isAscii(form) && keys().skeletons.has(skeleton))
  })
}
