import t from 'tap'
import { OngoingRequests } from '#src/http/ongoing-requests.ts'

t.test('the requests that have taken too long are taken out, in order of arrival', async t => {
  const ongoing = new OngoingRequests<string>()
  t.ok(ongoing.isEmpty)
  const [first, , third] = (['a', 'b', 'c', 'd'] as const).map((name, at) => ongoing.begin(name, at))
  // Its head arrived first, but its form was read before.
  ongoing.begin('slow form', 0.5)
  ongoing.begin('slower form', -1)
  ongoing.end(first as NonNullable<typeof first>)
  ongoing.end(third as NonNullable<typeof third>)
  ongoing.end(third as NonNullable<typeof third>)
  t.strictSame(ongoing.takeOlderThan(1), ['slower form', 'slow form', 'b'])
  t.strictSame(ongoing.takeOlderThan(1), [])
  t.notOk(ongoing.isEmpty)
  t.strictSame(ongoing.takeOlderThan(3), ['d'])
  t.ok(ongoing.isEmpty)
})

t.test('a request that was taken out can still end', async t => {
  const ongoing = new OngoingRequests<string>()
  const entry = ongoing.begin('a', 0)
  ongoing.begin('b', 1)
  t.strictSame(ongoing.takeOlderThan(0), ['a'])
  ongoing.end(entry)
  t.strictSame(ongoing.takeOlderThan(1), ['b'])
})
