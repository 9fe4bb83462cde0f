import { chmod, lstat, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import t, { type Test } from 'tap'
import { AppKey } from '#src/config/app-key.ts'
import { run } from '../support/processes.ts'

/** Runs `key generate` in a folder of its own, with a .env file if one is given. */
async function generate(t: Test, { env, args = [] }: { env?: string; args?: string[] }) {
  const cwd = t.testdir({})
  const file = join(cwd, '.env')
  if (env !== undefined) await writeFile(file, env)
  const result = await run({}, ['key', 'generate', ...args], { cwd })
  return { ...result, file, text: await readFile(file, 'utf8').catch(() => null) }
}

t.test('key generate prints a key that APP_KEY accepts, and writes nothing', async t => {
  const { code, out, text } = await generate(t, {})
  t.equal(code, 0)
  t.ok(new AppKey(out.trim()))
  t.equal(text, null)
})

t.test('--write creates .env with the key, readable by its owner only', async t => {
  const { out, file, text } = await generate(t, { args: ['--write'] })
  t.equal(out, 'Wrote APP_KEY to .env.\n')
  t.ok(new AppKey(parseEnv(text ?? '').APP_KEY ?? ''))
  t.equal((await stat(file)).mode & 0o777, 0o600)
})

t.test('--write sets the key of an existing .env, and keeps everything else', async t => {
  for (const line of ['APP_KEY=', '# APP_KEY=', 'export APP_KEY=', '']) {
    const { code, text } = await generate(t, { env: `PORT=8001\n${line}\nHOST=::1`, args: ['--write'] })
    t.equal(code, 0)
    const { APP_KEY: key = '', PORT, HOST } = parseEnv(text ?? '')
    t.ok(new AppKey(key), line)
    t.strictSame([PORT, HOST], ['8001', '::1'], line)
  }
})

t.test('--write does not replace a key, and says how to', async t => {
  const env = 'APP_KEY=base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n'
  const { code, err, text } = await generate(t, { env, args: ['--write'] })
  t.equal(code, 1)
  t.match(err, /\.env has an APP_KEY.*--force/)
  t.equal(text, env)
})

t.test('--force replaces the key, and keeps the old ones for reading', async t => {
  const first = 'base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8='
  const second = 'base64:HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHgA='
  const env = `APP_KEY="${second}"\nAPP_PREVIOUS_KEYS=${first}\n`
  const { code, text } = await generate(t, { env, args: ['--write', '--force'] })
  t.equal(code, 0)
  const { APP_KEY: key = '', APP_PREVIOUS_KEYS: previous } = parseEnv(text ?? '')
  t.notMatch([first, second], [key])
  t.ok(new AppKey(key))
  t.equal(previous, `${second},${first}`)
})

t.test('a key of the environment that hides the written one is reported', async t => {
  const cwd = t.testdir({})
  const { err } = await run({ APP_KEY: 'base64:x' }, ['key', 'generate', '--write'], { cwd })
  t.match(err, /The environment has another APP_KEY/)
})

t.test('wrong usage exits with 2, and a file that cannot be written with 1', async t => {
  t.equal((await generate(t, { args: ['--force'] })).code, 2)
  const { code, err } = await generate(t, { args: ['--write', 'missing/folder/.env'] })
  t.equal(code, 1)
  t.match(
    err,
    'missing/folder/.env: the folder missing/folder does not exist. Create it, or name another file.',
  )
  const { err: ofFolder } = await generate(t, { args: ['--write', '.'] })
  t.match(ofFolder, '. is a folder: name a file.')
  t.equal((await generate(t, { args: ['--write', ''] })).code, 2)
})

t.test('--write follows a symbolic link, and keeps the mode of the file', async t => {
  const cwd = t.testdir({ shared: { '.env': 'PORT=8001\n' }, '.env': t.fixture('symlink', 'shared/.env') })
  const shared = join(cwd, 'shared/.env')
  await chmod(shared, 0o640)
  t.equal((await run({}, ['key', 'generate', '--write'], { cwd })).code, 0)
  t.ok((await lstat(join(cwd, '.env'))).isSymbolicLink())
  t.match(await readFile(shared, 'utf8'), /^PORT=8001\nAPP_KEY=base64:/)
  t.equal((await stat(shared)).mode & 0o777, 0o640)
})

t.test('the key of .env is not reported as one of the environment', async t => {
  const env = 'APP_KEY=base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n'
  const { code, err } = await generate(t, { env, args: ['--write', 'other.env'] })
  t.strictSame([code, err], [0, ''])
})
