import t from 'tap'
import { wordFaults } from '../../tools/word-list.ts'

t.test('replaced words are found with their line, in any case and across line ends of comments', async t => {
  const text = [
    '/**',
    ' * Tells somebody',
    ' * else. Whoever asks',
    ' */',
    '// what',
    '// stands there',
  ].join('\n')
  t.strictSame(
    wordFaults(text).map(({ line, found }) => [line, found.replace(/\s+/g, ' ')]),
    [
      [2, 'somebody else'],
      [3, 'Whoever'],
      [5, 'what stands'],
    ],
  )
})

t.test('plain text has no faults', async t => {
  t.strictSame(wordFaults('A user requests a token. The server returns 401 to anonymous callers.'), [])
})
