import { hash } from 'node:crypto'
import { PANEL_PATH } from '#src/config/paths.ts'

/** A static file of the panel. */
interface Asset {
  /** Contains a hash of the content, so that browsers may cache it forever. */
  url: string
  type: string
  text: string
}

const asset = (name: string, type: string, text: string): Asset => ({
  url: `${PANEL_PATH}/${name}?v=${hash('sha256', text, 'hex').slice(0, 12)}`,
  type,
  text,
})

/** The stylesheet, light or dark as the browser prefers. */
export const STYLESHEET = asset(
  'panel.css',
  'text/css; charset=utf-8',
  `
:root {
  color-scheme: light dark;
  --background: #f5f5f8; --surface: #ffffff; --text: #1c1c28; --muted: #5a5a6e; --border: #d5d5e0;
  --accent: #5b3fd1; --on-accent: #ffffff; --danger: #b3173b; --success: #14683a; --success-background: #e2f5e9; --danger-background: #fdeaee;
}
@media (prefers-color-scheme: dark) {
  :root {
    --background: #14141c; --surface: #1e1e2a; --text: #ececf4; --muted: #a9a9be; --border: #3a3a4c;
    --accent: #b3a2ff; --on-accent: #16121f; --danger: #ff8fa5; --success: #84dba6; --success-background: #163323; --danger-background: #3c1a23;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--background); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1rem; top: 1rem; padding: .5rem 1rem; background: var(--surface); z-index: 1; }
.visually-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
header, nav, main { max-width: 64rem; margin: 0 auto; padding: 0 1rem; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; justify-content: space-between; padding-top: 1rem; padding-bottom: 1rem; }
.site { font-weight: 700; font-size: 1.15rem; color: var(--text); text-decoration: none; }
.viewer { display: flex; gap: .75rem; align-items: center; overflow-wrap: anywhere; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem; margin: 0; padding: 0; list-style: none; border-bottom: 1px solid var(--border); }
nav a { display: block; padding: .5rem .75rem; color: var(--muted); text-decoration: none; border-bottom: 3px solid transparent; }
nav a:hover { color: var(--text); }
nav a[aria-current] { color: var(--accent); border-color: var(--accent); font-weight: 600; }
main { padding-bottom: 4rem; outline: none; }
h1 { font-size: 1.6rem; margin: 1.5rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .75rem; overflow-wrap: anywhere; }
section, .card { background: var(--surface); border: 1px solid var(--border); border-radius: .75rem; padding: 1.25rem; margin: 0 0 1.25rem; }
section > p:first-child { margin-top: 0; }
.narrow { max-width: 26rem; }
.field { margin: 0 0 1rem; }
label, legend { font-weight: 600; }
.field > label { display: block; margin-bottom: .25rem; }
input:not([type=checkbox], [type=radio], [type=hidden]), select, textarea {
  width: 100%; max-width: 32rem; padding: .55rem .7rem; font: inherit; color: inherit; background: var(--background);
  border: 1px solid var(--muted); border-radius: .5rem;
}
textarea { font-family: ui-monospace, monospace; }
input[aria-invalid], select[aria-invalid], textarea[aria-invalid] { border-color: var(--danger); }
input[type=checkbox], input[type=radio] { width: 1.1rem; height: 1.1rem; accent-color: var(--accent); vertical-align: -.15rem; margin: 0 .4rem 0 0; }
fieldset { border: 1px solid var(--border); border-radius: .5rem; margin: 0 0 1rem; padding: .75rem 1rem; }
fieldset label { font-weight: 400; }
.choices { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .4rem 1rem; margin: .5rem 0 0; padding: 0; list-style: none; }
.hint { color: var(--muted); font-size: .9rem; margin: .25rem 0 0; }
.error { color: var(--danger); font-size: .9rem; margin: .25rem 0 0; }
.flash, .problem { padding: .75rem 1rem; border-radius: .5rem; margin: 0 0 1.25rem; }
.flash { background: var(--success-background); color: var(--success); }
.problem { background: var(--danger-background); color: var(--danger); }
button, .button {
  display: inline-block; padding: .55rem 1.1rem; font: inherit; font-weight: 600; cursor: pointer; text-decoration: none;
  color: var(--on-accent); background: var(--accent); border: 1px solid var(--accent); border-radius: .5rem;
}
button.quiet, .button.quiet { color: var(--text); background: transparent; border-color: var(--muted); }
button.danger { color: var(--danger); background: transparent; border-color: var(--danger); }
button:hover, .button:hover { filter: brightness(1.1); }
.action { display: inline-block; margin: 0; }
.row { display: flex; flex-wrap: wrap; gap: .75rem; align-items: end; }
.row .field { flex: 1 1 16rem; margin: 0; }
.list { list-style: none; margin: 0 0 1.25rem; padding: 0; }
.list > li { background: var(--surface); border: 1px solid var(--border); padding: 1rem 1.25rem; display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: center; justify-content: space-between; }
.list > li + li { border-top: 0; }
.list > li:first-child { border-radius: .75rem .75rem 0 0; }
.list > li:last-child { border-radius: 0 0 .75rem .75rem; }
.list > li:only-child { border-radius: .75rem; }
.list > li > div:first-child { flex: 1 1 18rem; min-width: 0; }
.list p, dd { margin: 0; overflow-wrap: anywhere; }
.name { font-weight: 600; overflow-wrap: anywhere; }
.agent { overflow-wrap: anywhere; }
.tag { display: inline-block; padding: 0 .5rem; border: 1px solid var(--border); border-radius: 1rem; font-size: .85rem; margin: 0 .35rem .2rem 0; overflow-wrap: anywhere; }
.tag.danger { color: var(--danger); border-color: var(--danger); }
button:disabled { opacity: .6; cursor: default; }
.row .action, .row .button { flex: 0 0 auto; }
dl { display: grid; grid-template-columns: minmax(7rem, auto) 1fr; gap: .35rem 1rem; margin: 0 0 1rem; }
dt { color: var(--muted); }
.secret { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; margin: 0 0 1rem; }
code, pre { font-family: ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
.secret code { flex: 1 1 20rem; padding: .75rem; background: var(--background); border: 1px solid var(--border); border-radius: .5rem; user-select: all; }
.qr { width: 17.5rem; max-width: 100%; padding: 1.25rem; background: #ffffff; border-radius: .5rem; forced-color-adjust: none; }
.qr svg { display: block; width: 100%; height: auto; }
.wide { position: relative; overflow-x: auto; padding: 0; background: var(--surface); border: 1px solid var(--border); border-radius: .75rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .4rem .6rem; border-bottom: 1px solid var(--border); text-align: center; }
th[scope=row] { text-align: left; min-width: 9rem; font-weight: 400; position: sticky; left: 0; background: var(--surface); }
.more { display: flex; gap: 1rem; }
@media (min-width: 50rem) { th[scope=row] { white-space: nowrap; } }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } button, .button { width: 100%; text-align: center; } .action, header .action { flex: 1 1 auto; } .row .action, .row .button { flex: 1 1 100%; } header button { width: auto; } }
`,
)

/**
 * Progressive enhancement: copies secrets to the clipboard (without it the buttons are hidden), and disables the buttons
 * of submitted forms (without it the server detects repeated submissions).
 */
export const SCRIPT = asset(
  'panel.js',
  'text/javascript; charset=utf-8',
  `
for (const button of document.querySelectorAll('button[data-copy-source]')) {
  const source = document.getElementById(button.dataset.copySource)
  const status = document.getElementById(button.dataset.copyStatus)
  button.hidden = false
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(source.textContent)
      status.textContent = 'Copied.'
    } catch {
      getSelection().selectAllChildren(source)
      status.textContent = 'Your browser does not allow copying. The text is selected.'
    }
  })
}

const forms = document.querySelectorAll('form[method=post]')
const allow = (form, isAllowed) => {
  for (const button of form.querySelectorAll('button[type=submit]')) button.disabled = !isAllowed
}
for (const form of forms) {
  form.addEventListener('submit', () => {
    allow(form, false)
    setTimeout(allow, 10_000, form, true)
  })
}
addEventListener('pageshow', () => forms.forEach(form => allow(form, true)))
`,
)
