import { SECURITY_MAIL_NAMES, type SecurityMail } from '#src/auth/security-mails.ts'
import { list, listOf, serverUrl, webAddress } from '../parsers.ts'
import { ExpectedValue, setting } from '../setting.ts'

/** Pages of the website that the server links to, and mail. */
export const PAGES_AND_MAIL = {
  frontendUrl: setting<URL | null>({
    name: 'FRONTEND_URL',
    fallback: null,
    defaultNote: '`http://localhost:3000` locally, else `APP_URL`; required with `MAIL_URL` in production',
    about: 'The website. The browser is redirected to it after an e-mail address was verified.',
    parse: webAddress,
  }),
  loginUrl: setting<URL | null>({
    name: 'WIKI_LOGIN',
    fallback: null,
    defaultNote: '`FRONTEND_URL/login`',
    about: "The website's login page. A link of a mail leads to it in a browser that is not logged in.",
    parse: webAddress,
  }),
  resetPasswordUrl: setting<URL | null>({
    name: 'WIKI_RESET_PASSWORD',
    fallback: null,
    defaultNote: '`FRONTEND_URL/reset-password`',
    about:
      "The website's page for a new password. Mails link to it with the token as `?token=`, and the page asks for the e-mail address. Links requested in the panel lead to the panel's own page.",
    parse: webAddress,
  }),
  changePasswordUrl: setting<URL | null>({
    name: 'WIKI_CHANGE_PASSWORD',
    fallback: null,
    defaultNote: "the panel's page, `APP_URL/admin/password`",
    about:
      "The website's page for changing passwords. `/.well-known/change-password` redirects to it, so that password managers find it.",
    parse: webAddress,
  }),
  securityContact: setting({
    name: 'SECURITY_CONTACT',
    fallback: '',
    defaultNote: 'no `security.txt`',
    about:
      'Contacts for security reports in `/.well-known/security.txt`: `mailto:`, `https:` and `tel:` URIs, comma-separated, the preferred one first. Mails name the first one to users who need help.',
    parse: listOf(
      'mailto:, https: or tel: URIs such as mailto:security@example.org, without spaces',
      item => /^(mailto:[^\s@]+@[^\s@]+|https:\/\/\S+|tel:\+?[\d.()-]+)$/i.test(item) && URL.canParse(item),
    ),
  }),
  mailUrl: setting<string | null>({
    name: 'MAIL_URL',
    fallback: null,
    defaultNote: 'mails are written to the log; in production without their text',
    about: 'The mail server: `smtp://user:password@host:587` or `smtps://…:465`.',
    secret: true,
    parse: serverUrl('smtp:', 'smtps:'),
  }),
  mailFrom: setting<string | null>({
    name: 'MAIL_FROM',
    fallback: null,
    defaultNote: 'required with `MAIL_URL`',
    about: 'The sender of mails: an address, or `AnimeThemes <no-reply@example.org>`.',
    parse: text => {
      if (!/^([^<>\p{Cc}]*<)?[^\s<>@,]+@[^\s<>@,]+>?$/u.test(text)) {
        throw new ExpectedValue('an address such as AnimeThemes <no-reply@example.org>')
      }
      return text
    },
  }),
  mailSecurityEvents: setting<ReadonlySet<SecurityMail>>({
    name: 'MAIL_SECURITY_EVENTS',
    fallback: 'all',
    about: `Mails about events of accounts that are sent: \`all\`, \`none\`, or some of ${SECURITY_MAIL_NAMES.map(name => `\`${name}\``).join(', ')}, comma-separated. Requested links and the link that restores an old e-mail address are always sent.`,
    parse: text => {
      if (text === 'all') return new Set(SECURITY_MAIL_NAMES)
      const names = text === 'none' ? [] : list(text)
      const isKnown = (name: string): name is SecurityMail =>
        SECURITY_MAIL_NAMES.some(known => known === name)
      const unknown = names.find(name => !isKnown(name))
      if (unknown !== undefined) {
        throw new ExpectedValue(
          `all or none alone, or some of ${SECURITY_MAIL_NAMES.join(', ')} (not "${unknown}")`,
        )
      }
      return new Set(names.filter(isKnown))
    },
  }),
}
