import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import t from 'tap'
import { makeFolder } from './fixtures/embedded.ts'

const project = join(import.meta.dirname, '../..')
const exec = promisify(execFile)

t.test('the package serves with production dependencies only', async t => {
  const folder = makeFolder(t)
  const pack = await exec('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: project,
  })
  const [{ filename, files }] = JSON.parse(pack.stdout) as [{ filename: string; files: { path: string }[] }]
  const paths = files.map(({ path }) => path)
  t.strictSame(
    paths.filter(path => /^(src|test|bench|tools|dist\/(test|bench|tools)|\.env$|\.data)/.test(path)),
    [],
    'sources, tests and local data are not in it',
  )
  t.ok(paths.includes('dist/src/main.js') && paths.includes('README.md') && paths.includes('LICENSE'))

  // As npm install --omit=dev lays it out.
  const modules = join(folder, 'node_modules')
  const target = join(modules, 'animethemes-auth')
  await mkdir(target, { recursive: true })
  await exec('tar', ['-xzf', join(folder, filename), '-C', target, '--strip-components=1'])
  const copied = new Map<string, string[]>()
  const lock = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8'))
  for (const [path, { dev, devOptional }] of Object.entries<{ dev?: true; devOptional?: true }>(
    lock.packages,
  )) {
    if (path === '' || dev || devOptional || path.split('node_modules/').length > 2) continue
    if (!existsSync(join(project, path))) continue
    const parent = dirname(path)
    copied.set(parent, [...(copied.get(parent) ?? []), join(project, path)])
  }
  for (const [parent, paths] of copied) {
    await mkdir(join(folder, parent), { recursive: true })
    await exec('cp', ['-R', ...paths, join(folder, parent)])
  }
  await chmod(join(target, 'dist/src/main.js'), 0o755)
  await mkdir(join(modules, '.bin'))
  await symlink('../animethemes-auth/dist/src/main.js', join(modules, '.bin/animethemes-auth'))

  const child = spawn('npx', ['--no-install', 'animethemes-auth', 'serve'], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, PORT: '0', HASH_ROUNDS: '4' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  t.teardown(() => {
    try {
      process.kill(-(child.pid as number), 'SIGKILL')
    } catch {
      // It has ended.
    }
  })
  const lines: string[] = []
  const curl = new Promise<string>((resolve, reject) => {
    for (const input of [child.stdout, child.stderr]) {
      createInterface({ input }).on('line', line => {
        lines.push(line)
        if (line.includes('curl -H')) resolve(line)
      })
    }
    child.once('close', code => reject(new Error(`ended with ${code}:\n${lines.join('\n')}`)))
  })
  const [, authorization = '', url = ''] = /'Authorization: ([^']+)' (\S+)/.exec(await curl) ?? []
  const response = await fetch(url, { headers: { authorization } })
  t.equal(response.status, 200)
  t.match(await response.json(), { user: { email: 'demo@example.org' } })
  const { origin } = new URL(url)
  for (const path of ['/health', '/docs', '/admin/login', '/openapi.json']) {
    t.equal((await fetch(`${origin}${path}`)).status, 200, path)
  }
})
