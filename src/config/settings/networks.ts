import { isAddressOrRange } from '#src/auth/address-list.ts'
import { listOf } from '../parsers.ts'
import { setting } from '../setting.ts'

/** Proxies and the operator's own machines. */
export const NETWORKS = {
  trustedProxies: setting({
    name: 'TRUSTED_PROXIES',
    fallback: '',
    defaultNote: 'none',
    about:
      'Addresses or ranges of proxies whose `X-Forwarded-*` headers are trusted. `loopback` and `uniquelocal` name ranges.',
    parse: listOf(
      'addresses, ranges such as 10.0.0.0/8, or loopback, linklocal, uniquelocal',
      item => ['*', 'loopback', 'linklocal', 'uniquelocal'].includes(item) || isAddressOrRange(item),
    ),
  }),
  localIps: setting({
    name: 'LOCAL_IPS',
    fallback: '',
    defaultNote: 'none',
    about:
      "Addresses or ranges of the operator's own machines. They are not rate-limited, and their `x-forwarded-ip` header is trusted.",
    parse: listOf('addresses or ranges such as 10.0.0.0/8', isAddressOrRange),
  }),
}
