import { setImmediate as immediate } from 'node:timers/promises'
import t from 'tap'
import { sharedLookup } from '#src/database/shared-lookup.ts'
import { DatabaseUnavailable } from '#src/database/unavailable.ts'

/** Waits for two turns of the event loop. */
async function turn() {
  await immediate()
  await immediate()
}

/** A read function whose statements the test answers. */
function fakeReads() {
  const reads: { keys: readonly number[]; answer(): void; fail(error: Error): void }[] = []
  const read = (keys: readonly number[]) =>
    new Promise<Map<number, string>>((resolve, reject) => {
      const rows = () => new Map(keys.filter(key => key >= 0).map(key => [key, `row ${key}`]))
      reads.push({ keys, answer: () => resolve(rows()), fail: reject })
    })
  return { reads, read }
}

t.test('sharedLookup()', async t => {
  await t.test('concurrent keys are read by one statement', async t => {
    const { reads, read } = fakeReads()
    const find = sharedLookup(read)
    const answers = Promise.all([1, 2, 3, 2, -1].map(key => find(key)))
    await turn()
    t.strictSame(
      reads.map(({ keys }) => keys),
      [[1, 2, 3, -1]],
    )
    reads[0]?.answer()
    t.strictSame(await answers, ['row 1', 'row 2', 'row 3', 'row 2', null])
  })

  await t.test(
    'results are delivered in batches of 32 per turn of the event loop, before the next statement',
    async t => {
      const { reads, read } = fakeReads()
      const find = sharedLookup(read, { concurrency: 1 })
      let delivered = 0
      const findAndCount = async (key: number) => {
        await find(key)
        delivered += 1
      }
      const answers = Promise.all(Array.from({ length: 100 }, (_, key) => findAndCount(key)))
      await turn()
      const further = find(100)
      reads[0]?.answer()
      const steps: number[] = []
      while (delivered < 100) {
        const before = delivered
        await new Promise(resolve => setImmediate(resolve))
        if (delivered > before) steps.push(delivered - before)
        t.equal(reads.length, 1)
      }
      t.strictSame(steps, [32, 32, 32, 4])
      await answers
      await turn()
      await turn()
      t.equal(reads.length, 2)
      reads[1]?.answer()
      await further
    },
  )

  await t.test('a key is read again if it is asked for after a statement was sent', async t => {
    const { reads, read } = fakeReads()
    const find = sharedLookup(read, { concurrency: 1 })
    const first = find(1)
    await turn()
    const second = find(1)
    await turn()
    t.equal(reads.length, 1, 'the pending statement was sent before')
    reads[0]?.answer()
    await first
    await turn()
    t.strictSame(
      reads.map(({ keys }) => keys),
      [[1], [1]],
    )
    reads[1]?.answer()
    t.equal(await second, 'row 1')
  })

  await t.test('the number of concurrent statements and of keys per statement is limited', async t => {
    const { reads, read } = fakeReads()
    const find = sharedLookup(read, { concurrency: 2, batchSize: 2 })
    const answers = [1, 2, 3, 4, 5, 1].map(key => find(key))
    await turn()
    t.strictSame(
      reads.map(({ keys }) => keys),
      [
        [1, 2],
        [3, 4],
      ],
    )
    reads[1]?.answer()
    await Promise.all([answers[2], answers[3]])
    await turn()
    t.strictSame(reads[2]?.keys, [5, 1])
    for (const { answer } of reads) answer()
    t.strictSame(await Promise.all(answers), ['row 1', 'row 2', 'row 3', 'row 4', 'row 5', 'row 1'])
  })

  await t.test('a key whose statement fails does not affect other keys', async t => {
    const asked: number[][] = []
    const find = sharedLookup(async (keys: readonly number[]) => {
      asked.push([...keys])
      if (keys.includes(3)) throw new Error('no such key')
      return new Map(keys.map(key => [key, `row ${key}`]))
    })
    const answers = await Promise.allSettled([1, 2, 3, 4, 5].map(key => find(key)))
    t.strictSame(
      answers.map(answer => (answer.status === 'fulfilled' ? answer.value : answer.reason.message)),
      ['row 1', 'row 2', 'no such key', 'row 4', 'row 5'],
    )
    t.ok(asked.length <= 7, `in ${asked.length} statements`)
    t.equal(await find(1), 'row 1', 'later look-ups succeed')
  })

  await t.test('an unavailable database is asked once', async t => {
    let statements = 0
    const find = sharedLookup(async (_keys: readonly number[]) => {
      statements += 1
      throw new DatabaseUnavailable(new Error('connection refused'))
    })
    const answers = await Promise.allSettled([1, 2, 3].map(key => find(key)))
    t.strictSame(
      answers.map(({ status }) => status),
      ['rejected', 'rejected', 'rejected'],
    )
    t.equal(statements, 1)
  })

  await t.test('a look-up is refused if too many are waiting', async t => {
    const { reads, read } = fakeReads()
    const find = sharedLookup(read, { concurrency: 1, maxWaiting: 2 })
    const first = find(1)
    await turn()
    const waiting = [find(2), find(3)]
    await t.rejects(find(4), { name: 'LookupRefused', message: /too many are waiting/ })
    reads[0]?.answer()
    await first
    await turn()
    reads[1]?.answer()
    t.strictSame(await Promise.all(waiting), ['row 2', 'row 3'])
  })

  await t.test('a look-up that has waited too long is refused', async t => {
    const { reads, read } = fakeReads()
    let now = 0
    const find = sharedLookup(read, { concurrency: 1, waitMs: 1_000, monotonic: () => now })
    const first = find(1)
    await turn()
    const expired = find(2)
    now = 500
    const recent = find(3)
    now = 1_001
    reads[0]?.answer()
    await first
    await t.rejects(expired, { name: 'LookupRefused', message: /waited too long/ })
    reads[1]?.answer()
    t.equal(await recent, 'row 3')
  })

  await t.test('keys of disconnected clients are not read', async t => {
    const { reads, read } = fakeReads()
    const find = sharedLookup(read, { concurrency: 1 })
    const client = { destroyed: false }
    const first = find(1)
    await turn()
    const abandoned = find(2, client)
    const shared = find(3, client)
    const other = find(3)
    client.destroyed = true
    reads[0]?.answer()
    await first
    await t.rejects(abandoned, { name: 'LookupRefused' })
    await t.rejects(shared, { name: 'LookupRefused' })
    await turn()
    t.strictSame(reads[1]?.keys, [3])
    reads[1]?.answer()
    t.equal(await other, 'row 3')
    const late = find(4, client)
    await t.rejects(late, { name: 'LookupRefused' })
    t.equal(reads.length, 2)
    const next = find(5)
    await turn()
    reads[2]?.answer()
    t.equal(await next, 'row 5', 'later look-ups succeed')
  })
})
