import { isAddressOrRange } from '#src/auth/address-list.ts'
import { listOf } from '../parsers.ts'
import { setting } from '../setting.ts'

/** Proxies and machines of our own. */
export const NETWORKS = {
  trustedProxies: setting({
    name: 'TRUSTED_PROXIES',
    fallback: '',
    defaultNote: 'none',
    about:
      'Addresses or ranges whose `X-Forwarded-*` headers are believed; `loopback` and `uniquelocal` name ranges.',
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
      'Addresses or ranges of our own machines: not limited, and believed when they pass on `x-forwarded-ip`.',
    parse: listOf('addresses or ranges such as 10.0.0.0/8', isAddressOrRange),
  }),
}
