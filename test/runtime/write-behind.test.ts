import t from 'tap'
import { writeBehind } from '#src/runtime/write-behind.ts'

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
    const lastUsed = writeBehind<number, number>(async uses => {
      written.push(uses)
    }, 2)
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
})
