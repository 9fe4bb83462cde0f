import { lazy } from '#src/runtime/lazy.ts'
import { isAscii, nameKeys } from './name.ts'
import { toAscii } from './to-ascii.ts'

/** Names that could impersonate staff, a program or a page of the site. */
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
 * Whether a user name is reserved, or confusable with a reserved one: by its key, and by its skeleton if it has
 * characters beyond ASCII. Hyphens and underscores are ignored, and other scripts are transliterated.
 */
export function isReservedName(name: string): boolean {
  // Unicode's table has no entries for letters with strokes and hooks, turned letters, and transliterations.
  const written = toAscii(name)
  return [name, name.replace(/[-_]/g, ''), written.replace(/[^a-z0-9]/gi, '')].some(form => {
    const { key, skeleton } = nameKeys(form)
    return keys().keys.has(key) || (!isAscii(form) && keys().skeletons.has(skeleton))
  })
}
