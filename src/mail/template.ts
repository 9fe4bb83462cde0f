import { html } from 'ghtml'
import type { Mail } from './mailer.ts'

/** The recipient of a mail. */
export interface Recipient {
  name: string
  email: string
}

/** A link, rendered as a button. */
export interface Link {
  label: string
  url: string
}

/** A part of a mail: a paragraph, labelled facts, a list, or a link. */
export type Block =
  | string
  | { facts: readonly (readonly [label: string, text: string])[] }
  | { list: readonly string[] }
  | { link: Link }

/** The content of a mail between the greeting and the name of the site. */
export interface MailBody {
  subject: string
  blocks: readonly Block[]
}

/** Renders a mail as text and HTML. */
export type Write = (to: Recipient, body: MailBody) => Mail

/**
 * Creates the {@link Write} of a site.
 *
 * @param siteName the name of the site
 */
export const mailTemplate =
  (siteName: string): Write =>
  (to, { subject, blocks }) => ({
    to: { name: to.name, address: to.email },
    subject,
    text: [`Hello ${to.name},`, ...blocks.map(renderText), siteName].join('\n\n'),
    // Without the two "color-scheme" elements, mail programs in dark mode invert the colours themselves.
    html: html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>${subject}</title>
</head>
<body style="font-family: sans-serif; line-height: 1.5; max-width: 36em; margin: 2em auto; padding: 0 1em; overflow-wrap: anywhere">
<p>Hello ${to.name},</p>
!${blocks.map(renderHtml).join('\n')}
<p>${siteName}</p>
</body>
</html>
`,
  })

function renderText(block: Block): string {
  if (typeof block === 'string') return block
  if ('facts' in block) return block.facts.map(([label, text]) => `${label}: ${text}`).join('\n')
  if ('list' in block) return block.list.map(item => `- ${item}`).join('\n')
  return block.link.url
}

function renderHtml(block: Block): string {
  if (typeof block === 'string') return html`<p>${block}</p>`
  if ('facts' in block) {
    const rows = block.facts.map(
      ([label, text]) =>
        html`<tr><th scope="row" style="text-align: left; vertical-align: top; padding: 0.2em 1em 0.2em 0">${label}</th><td style="padding: 0.2em 0">${text}</td></tr>`,
    )
    return html`<table style="border-collapse: collapse; margin: 1em 0">!${rows.join('')}</table>`
  }
  if ('list' in block) {
    return html`<ul style="padding-left: 1.2em">!${block.list.map(item => html`<li>${item}</li>`).join('')}</ul>`
  }
  return renderButton(block.link)
}

/** Shows the URL as well, for programs without buttons and for users who check it. */
const renderButton = ({ label, url }: Link) =>
  html`<p><a href="${url}" style="display: inline-block; padding: 0.6em 1.2em; border-radius: 0.4em; background: #2563eb; color: #ffffff; text-decoration: none">${label}</a></p>
<p style="font-size: 0.85em; opacity: 0.75; word-break: break-all">${url}</p>`
