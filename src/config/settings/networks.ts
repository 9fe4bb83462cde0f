import { isAddressOrRange } from '#src/auth/address-list.ts'
import { listOf, oneOf } from '../parsers.ts'
import { setting } from '../setting.ts'

const proxies = listOf(
  'addresses, ranges such as 10.0.0.0/8, loopback, linklocal, uniquelocal, or hops:1 to hops:9 alone',
  item => ['*', 'loopback', 'linklocal', 'uniquelocal'].includes(item) || isAddressOrRange(item),
)

/** Proxies and the operator's own machines. */
export const NETWORKS = {
  trustedProxies: setting({
    name: 'TRUSTED_PROXIES',
    fallback: '',
    defaultNote: 'none',
    about:
      'Addresses or ranges of proxies whose `X-Forwarded-*` headers are trusted. `loopback` and `uniquelocal` name ranges. `hops:2` trusts the last two proxies, whatever their addresses; clients must not reach the server past them.',
    parse: text => {
      if (/^hops:[1-9]$/.test(text.trim())) return Object.freeze([text.trim()])
      return proxies(text)
    },
  }),
  forwardedHeader: setting({
    name: 'FORWARDED_HEADER',
    fallback: 'x-forwarded',
    about:
      'The headers in which trusted proxies name the client: `x-forwarded` for `X-Forwarded-For`, `-Host` and `-Proto`, `forwarded` for `Forwarded` (RFC 7239). The other ones are ignored.',
    parse: oneOf('x-forwarded', 'forwarded'),
  }),
  localIps: setting({
    name: 'LOCAL_IPS',
    fallback: '',
    defaultNote: 'none',
    about:
      "Addresses or ranges of the operator's own machines. They are not rate-limited, and their `x-forwarded-ip` header is trusted. A reverse proxy must also be in `TRUSTED_PROXIES`; otherwise all of its clients count as such a machine.",
    parse: listOf('addresses or ranges such as 10.0.0.0/8', isAddressOrRange),
  }),
}
