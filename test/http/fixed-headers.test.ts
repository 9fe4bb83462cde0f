import t from 'tap'
import { formatFixedHeaders } from '#src/http/fixed-headers.ts'

const { linesBeside } = formatFixedHeaders({ 'cache-control': 'no-store', vary: 'Origin' })

t.test('all lines are added to a response without headers of these names', async t => {
  const all = 'cache-control: no-store\r\nvary: Origin\r\n'
  t.equal(linesBeside(undefined), all)
  t.equal(linesBeside(null), all)
  t.equal(linesBeside({}), all)
  t.equal(linesBeside({ 'content-type': 'text/plain' }), all)
  t.equal(linesBeside(['content-type', 'text/plain']), all)
})

t.test("a response's own headers replace the lines, in any case and form", async t => {
  t.equal(linesBeside({ Vary: 'Accept-Encoding' }), 'cache-control: no-store\r\n')
  t.equal(linesBeside({ 'cache-control': 'no-cache' }), 'vary: Origin\r\n')
  t.equal(linesBeside(['Cache-Control', 'vary']), 'vary: Origin\r\n', 'a value is not a name')
  t.equal(linesBeside({ 'cache-control': 'no-cache', VARY: '*' }), '')
})
