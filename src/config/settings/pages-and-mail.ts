import { SECURITY_MAIL_NAMES, type SecurityMail } from '#src/auth/security-mails.ts'
import { list, listOf, urlText, webAddress } from '../parsers.ts'
import { ExpectedValue, setting } from '../setting.ts'

/** The pages of the website that the server leads to, and the mails that it sends. */
export const PAGES_AND_MAIL = {
  frontendUrl: setting<URL | null>({
    name: 'FRONTEND_URL',
    fallback: null,
    defaultNote: '`http://localhost:3000` locally, else `APP_URL`; required with `MAIL_URL` in production',
    about: 'The website: where the browser lands after its e-mail address was verified.',
    parse: webAddress,
  }),
  loginUrl: setting<URL | null>({
    name: 'WIKI_LOGIN',
    fallback: null,
    defaultNote: '`FRONTEND_URL/login`',
    about: "The website's page for logging in: for whoever opens a mail's link in a browser that is not.",
    parse: webAddress,
  }),
  resetPasswordUrl: setting<URL | null>({
    name: 'WIKI_RESET_PASSWORD',
    fallback: null,
    defaultNote: '`FRONTEND_URL/reset-password`',
    about:
      "The website's page for a new password: a mail leads there, with the token as `?token=`, and the page asks for the address as well, unless the panel was asked, which has a page of its own.",
    parse: webAddress,
  }),
  changePasswordUrl: setting<URL | null>({
    name: 'WIKI_CHANGE_PASSWORD',
    fallback: null,
    defaultNote: "the panel's page, `APP_URL/admin/password`",
    about:
      "The website's page where users change their passwords: `/.well-known/change-password` leads there, by which password managers find it.",
    parse: webAddress,
  }),
  securityContact: setting({
    name: 'SECURITY_CONTACT',
    fallback: '',
    defaultNote: 'no `security.txt`',
    about:
      'Whom to tell of security faults, for `/.well-known/security.txt`: `mailto:`, `https:` and `tel:` URIs, comma-separated, the preferred one first. Mails name that to users who need help.',
    parse: listOf(
      'mailto:, https: or tel: URIs such as mailto:security@example.org, without spaces',
      item => /^(mailto:[^\s@]+@[^\s@]+|https:\/\/\S+|tel:\+?[\d.()-]+)$/i.test(item) && URL.canParse(item),
    ),
  }),
  mailUrl: setting<string | null>({
    name: 'MAIL_URL',
    fallback: null,
    defaultNote: 'mails are written to the log; in production without their text',
    about: '`smtp://user:password@host:587` or `smtps://…:465`: the server that sends mail.',
    secret: true,
    parse: urlText('smtp:', 'smtps:'),
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
    about: `Which mails tell users what happened to their accounts: \`all\`, \`none\`, or some of ${SECURITY_MAIL_NAMES.map(name => `\`${name}\``).join(', ')}, comma-separated. Links that somebody asked for are always sent, and so is the one that brings an old e-mail address back.`,
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
