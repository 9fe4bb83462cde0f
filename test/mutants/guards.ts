import { ACCESS } from './access.ts'
import { ACCOUNTS } from './accounts.ts'
import { CSRF } from './csrf.ts'
import { EXPORT } from './export.ts'
import { LIMITS } from './limits.ts'
import { LOCKS } from './locks.ts'
import { MAILS } from './mails.ts'
import type { Area } from './mutant.ts'
import { ORIGINS } from './origins.ts'
import { SESSIONS } from './sessions.ts'
import { TOKENS } from './tokens.ts'

/** All guards that `make mutants` removes, by area. */
export const AREAS: readonly Area[] = [
  { area: 'origins', mutants: ORIGINS },
  { area: 'tokens', mutants: TOKENS },
  { area: 'limits', mutants: LIMITS },
  { area: 'sessions', mutants: SESSIONS },
  { area: 'csrf', mutants: CSRF },
  { area: 'locks', mutants: LOCKS },
  { area: 'accounts', mutants: ACCOUNTS },
  { area: 'access', mutants: ACCESS },
  { area: 'mails', mutants: MAILS },
  { area: 'export', mutants: EXPORT },
]
