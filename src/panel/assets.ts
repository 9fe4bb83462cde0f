import { hash } from 'node:crypto'
import { PANEL_PATH } from '#src/config/paths.ts'

/** A file that pages of the panel load. */
interface Asset {
  /** Changes with what is in it, so that browsers may keep it for good. */
  url: string
  type: string
  text: string
}

const asset = (name: string, type: string, text: string): Asset => ({
  url: `${PANEL_PATH}/${name}?v=${hash('sha256', text, 'hex').slice(0, 12)}`,
  type,
  text,
})

/** How the panel looks: by the browser's wish light or dark. */
export const STYLESHEET = asset(
  'panel.css',
  'text/css; charset=utf-8',
  `
:root {
  color-scheme: light dark;
  --ground: #f5f5f8; --surface: #ffffff; --text: #1c1c28; --faint: #5a5a6e; --line: #d5d5e0;
  --accent: #5b3fd1; --on-accent: #ffffff; --grave: #b3173b; --good: #14683a; --good-ground: #e2f5e9; --grave-ground: #fdeaee;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14141c; --surface: #1e1e2a; --text: #ececf4; --faint: #a9a9be; --line: #3a3a4c;
    --accent: #b3a2ff; --on-accent: #16121f; --grave: #ff8fa5; --good: #84dba6; --good-ground: #163323; --grave-ground: #3c1a23;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--ground); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1rem; top: 1rem; padding: .5rem 1rem; background: var(--surface); z-index: 1; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
header, nav, main { max-width: 64rem; margin: 0 auto; padding: 0 1rem; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; justify-content: space-between; padding-top: 1rem; padding-bottom: 1rem; }
.place { font-weight: 700; font-size: 1.15rem; color: var(--text); text-decoration: none; }
.whose { display: flex; gap: .75rem; align-items: center; overflow-wrap: anywhere; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem; margin: 0; padding: 0; list-style: none; border-bottom: 1px solid var(--line); }
nav a { display: block; padding: .5rem .75rem; color: var(--faint); text-decoration: none; border-bottom: 3px solid transparent; }
nav a:hover { color: var(--text); }
nav a[aria-current] { color: var(--accent); border-color: var(--accent); font-weight: 600; }
main { padding-bottom: 4rem; outline: none; }
h1 { font-size: 1.6rem; margin: 1.5rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .75rem; overflow-wrap: anywhere; }
section, .card { background: var(--surface); border: 1px solid var(--line); border-radius: .75rem; padding: 1.25rem; margin: 0 0 1.25rem; }
section > p:first-child { margin-top: 0; }
.narrow { max-width: 26rem; }
.field { margin: 0 0 1rem; }
label, legend { font-weight: 600; }
.field > label { display: block; margin-bottom: .25rem; }
input:not([type=checkbox], [type=radio], [type=hidden]), select, textarea {
  width: 100%; max-width: 32rem; padding: .55rem .7rem; font: inherit; color: inherit; background: var(--ground);
  border: 1px solid var(--faint); border-radius: .5rem;
}
textarea { font-family: ui-monospace, monospace; }
input[aria-invalid], select[aria-invalid], textarea[aria-invalid] { border-color: var(--grave); }
input[type=checkbox], input[type=radio] { width: 1.1rem; height: 1.1rem; accent-color: var(--accent); vertical-align: -.15rem; margin: 0 .4rem 0 0; }
fieldset { border: 1px solid var(--line); border-radius: .5rem; margin: 0 0 1rem; padding: .75rem 1rem; }
fieldset label { font-weight: 400; }
.choices { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .4rem 1rem; margin: .5rem 0 0; padding: 0; list-style: none; }
.hint { color: var(--faint); font-size: .9rem; margin: .25rem 0 0; }
.fault { color: var(--grave); font-size: .9rem; margin: .25rem 0 0; }
.said, .problem { padding: .75rem 1rem; border-radius: .5rem; margin: 0 0 1.25rem; }
.said { background: var(--good-ground); color: var(--good); }
.problem { background: var(--grave-ground); color: var(--grave); }
button, .button {
  display: inline-block; padding: .55rem 1.1rem; font: inherit; font-weight: 600; cursor: pointer; text-decoration: none;
  color: var(--on-accent); background: var(--accent); border: 1px solid var(--accent); border-radius: .5rem;
}
button.quiet, .button.quiet { color: var(--text); background: transparent; border-color: var(--faint); }
button.grave { color: var(--grave); background: transparent; border-color: var(--grave); }
button:hover, .button:hover { filter: brightness(1.1); }
.action { display: inline-block; margin: 0; }
.row { display: flex; flex-wrap: wrap; gap: .75rem; align-items: end; }
.row .field { flex: 1 1 16rem; margin: 0; }
.list { list-style: none; margin: 0 0 1.25rem; padding: 0; }
.list > li { background: var(--surface); border: 1px solid var(--line); padding: 1rem 1.25rem; display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: center; justify-content: space-between; }
.list > li + li { border-top: 0; }
.list > li:first-child { border-radius: .75rem .75rem 0 0; }
.list > li:last-child { border-radius: 0 0 .75rem .75rem; }
.list > li:only-child { border-radius: .75rem; }
.list > li > div:first-child { flex: 1 1 18rem; min-width: 0; }
.list p, dd { margin: 0; overflow-wrap: anywhere; }
.name { font-weight: 600; overflow-wrap: anywhere; }
.agent { overflow-wrap: anywhere; }
.tag { display: inline-block; padding: 0 .5rem; border: 1px solid var(--line); border-radius: 1rem; font-size: .85rem; margin: 0 .35rem .2rem 0; overflow-wrap: anywhere; }
.tag.grave { color: var(--grave); border-color: var(--grave); }
button:disabled { opacity: .6; cursor: default; }
.row .action, .row .button { flex: 0 0 auto; }
dl { display: grid; grid-template-columns: minmax(7rem, auto) 1fr; gap: .35rem 1rem; margin: 0 0 1rem; }
dt { color: var(--faint); }
.secret { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; margin: 0 0 1rem; }
code, pre { font-family: ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
.secret code { flex: 1 1 20rem; padding: .75rem; background: var(--ground); border: 1px solid var(--line); border-radius: .5rem; user-select: all; }
.qr { width: 17.5rem; max-width: 100%; padding: 1.25rem; background: #ffffff; border-radius: .5rem; forced-color-adjust: none; }
.qr svg { display: block; width: 100%; height: auto; }
.wide { position: relative; overflow-x: auto; padding: 0; background: var(--surface); border: 1px solid var(--line); border-radius: .75rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .4rem .6rem; border-bottom: 1px solid var(--line); text-align: center; }
th[scope=row] { text-align: left; min-width: 9rem; font-weight: 400; position: sticky; left: 0; background: var(--surface); }
.more { display: flex; gap: 1rem; }
@media (min-width: 50rem) { th[scope=row] { white-space: nowrap; } }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } button, .button { width: 100%; text-align: center; } .action, header .action { flex: 1 1 auto; } .row .action, .row .button { flex: 1 1 100%; } header button { width: auto; } }
`,
)

/**
 * Copies a text to the clipboard: without it the text is there to be selected, and the button is not. And has nobody
 * press a button twice while the server is at work: without it the server sees that.
 */
export const SCRIPT = asset(
  'panel.js',
  'text/javascript; charset=utf-8',
  `
for (const button of document.querySelectorAll('button[data-copies]')) {
  const source = document.getElementById(button.dataset.copies)
  const said = document.getElementById(button.dataset.says)
  button.hidden = false
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(source.textContent)
      said.textContent = 'Copied.'
    } catch {
      getSelection().selectAllChildren(source)
      said.textContent = 'Your browser does not let this page copy: it is selected now.'
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
