import t from 'tap'
import { type WriteBehind, writeBehind } from '#src/runtime/write-behind.ts'

t.test('writeBehind()', async t => {
  await t.test('many notes of a key are written once, ordered by key, with the last value', async t => {
    const written: [number, number][][] = []
    const lastUsed = writeBehind<number, number>(async uses => {
      written.push(uses)
    })
    lastUsed.note(9, 1)
    lastUsed.note(3, 5)
    lastUsed.note(9, 7)
    // The system clock was set back.
    lastUsed.note(3, 4)
    await lastUsed.flush()
    await lastUsed.flush()
    t.strictSame(written, [
      [
        [3, 4],
        [9, 7],
      ],
    ])
  })

  await t.test('notes survive a failed write', async t => {
    const written: [number, number][][] = []
    let isDown = true
    const lastUsed = writeBehind<number, number>(async uses => {
      if (isDown) throw new Error('down')
      written.push(uses)
    })
    lastUsed.note(1, 30)
    await t.rejects(lastUsed.flush(), { message: 'down' })
    lastUsed.note(1, 20)
    lastUsed.note(2, 15)
    isDown = false
    await lastUsed.flush()
    t.strictSame(written, [
      [
        [1, 20],
        [2, 15],
      ],
    ])
  })

  await t.test('the number of keys is bounded', async t => {
    const written: [number, number][][] = []
    const lastUsed = writeBehind<number, number>(
      async uses => {
        written.push(uses)
      },
      { capacity: 2 },
    )
    for (const id of [1, 2, 3]) lastUsed.note(id, 1)
    lastUsed.note(1, 2)
    await lastUsed.flush()
    t.strictSame(written, [
      [
        [1, 2],
        [2, 1],
      ],
    ])
  })

  await t.test('uses are written in batches, one after another, in turns of the event loop', async t => {
    const written: [number, number][][] = []
    const turns: number[] = []
    let turn = 0
    const lastUsed = writeBehind<number, number>(
      async uses => {
        written.push(uses)
        turns.push(turn)
        setImmediate(() => {
          turn += 1
        })
      },
      { batchSize: 2 },
    )
    for (const id of [5, 3, 1, 4, 2]) lastUsed.note(id, id * 10)
    const first = lastUsed.flush()
    lastUsed.note(3, 31)
    // As at shutdown: it includes the flush in progress.
    await lastUsed.flush()
    t.strictSame(written, [
      [
        [3, 30],
        [5, 50],
      ],
      [
        [1, 10],
        [4, 40],
      ],
      [[2, 20]],
      [[3, 31]],
    ])
    t.equal(new Set(turns.slice(0, 3)).size, 3)
    await first
  })

  await t.test(
    'after a failed batch the rest is written the next time, the newest uses included',
    async t => {
      const written: [number, number][][] = []
      let isDown = false
      const lastUsed: WriteBehind<number, number> = writeBehind<number, number>(
        async uses => {
          if (isDown) {
            if (written.length === 1) lastUsed.note(3, 31)
            throw new Error('down')
          }
          isDown = true
          written.push(uses)
        },
        { batchSize: 2 },
      )
      for (const id of [1, 2, 3, 4, 5]) lastUsed.note(id, id * 10)
      const flushes = [lastUsed.flush(), lastUsed.flush().catch(({ message }) => message)]
      await t.rejects(flushes[0] as Promise<void>, { message: 'down' })
      t.equal(await flushes[1], 'down', 'it tries again after the first')
      for (let n = 0; n < 2; n += 1) {
        isDown = false
        await lastUsed.flush().catch(() => {})
      }
      t.strictSame(written, [
        [
          [1, 10],
          [2, 20],
        ],
        [
          [3, 31],
          [4, 40],
        ],
        [[5, 50]],
      ])
    },
  )
})
