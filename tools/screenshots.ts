/** Writes docs/screenshots: starts a server with demo data, and photographs pages in Chromium. `make screenshots` runs it. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'
import { findChromium } from '../test/support/services.ts'

const FOLDER = 'docs/screenshots'
const MAIN = 'dist/src/main.js'

const executablePath = findChromium()
if (executablePath === null)
  throw new Error('No Chromium was found: install it, or set TEST_CHROMIUM to its path.')

const dataDir = mkdtempSync(join(tmpdir(), 'animethemes-auth-screenshots-'))
const env = {
  PATH: process.env.PATH,
  HOME: dataDir,
  DATA_DIR: join(dataDir, 'data'),
  PORT: '0',
  LOG_LEVEL: 'silent',
}
const server = spawn(process.execPath, [MAIN, 'serve'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
try {
  const welcome: string[] = []
  for await (const line of createInterface({ input: server.stdout })) {
    welcome.push(line)
    if (line.includes('curl -H')) break
  }
  const text = welcome.join('\n')
  const [, origin = ''] = /user API\s+(\S+)/.exec(text) ?? []
  const [, email = '', password = ''] = /Demo user\s+(\S+), password (\S+)/.exec(text) ?? []
  const command = (...args: string[]) =>
    execFileSync(process.execPath, [MAIN, ...args, '--email', email], { env })
  command('token', 'create', '--name', 'phone', '--ability', 'read:playlist', '--expires-at', '2030-01-31')
  command(
    'token',
    'create',
    '--name',
    'backup script',
    '--ability',
    'read:playlist',
    '--ability',
    'read:externalprofile',
  )

  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' })
  await page.goto(`${origin}/admin/login`)
  await page.fill('[name=email]', email)
  await page.fill('[name=password]', password)
  await page.click('main button[type=submit]')
  await page.waitForURL(`${origin}/admin`)
  mkdirSync(FOLDER, { recursive: true })
  await page.screenshot({ path: join(FOLDER, 'tokens.png') })
  await browser.close()
} finally {
  server.kill()
  rmSync(dataDir, { recursive: true, force: true })
}
