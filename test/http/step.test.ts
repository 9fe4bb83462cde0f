import type { FastifyReply, FastifyRequest } from 'fastify'
import t from 'tap'
import { emptyPhases, runSteps, type Step, stepsFor, traitsOf } from '#src/http/step.ts'

const request = {} as FastifyRequest
const reply = {} as FastifyReply

/** Runs steps that record their execution, and returns that with the outcome. */
const run = (steps: Step[]) =>
  new Promise<string>(resolve => {
    const timer = setImmediate(() => setImmediate(() => resolve('responded')))
    runSteps(steps, request, reply, error => {
      clearImmediate(timer)
      resolve(error === undefined ? 'went on' : error.message)
    })
  })

t.test('synchronous and asynchronous steps run in order', async t => {
  const done: string[] = []
  const outcome = await run([
    {
      run() {
        done.push('first')
      },
    },
    {
      async run() {
        await null
        done.push('second')
      },
    },
    {
      run() {
        done.push('third')
      },
    },
  ])
  t.equal(outcome, 'went on')
  t.strictSame(done, ['first', 'second', 'third'])
})

for (const [name, steps] of [
  [
    'synchronously',
    {
      answers: { run: () => 'responded' as const },
      throws: {
        run() {
          throw new Error('refused')
        },
      },
    },
  ],
  [
    'later',
    {
      answers: { run: async () => 'responded' as const },
      throws: {
        async run() {
          throw new Error('refused')
        },
      },
    },
  ],
] as const) {
  t.test(`a step that ends a request ${name} prevents further steps`, async t => {
    for (const [step, outcome] of [
      [steps.answers, 'responded'],
      [steps.throws, 'refused'],
    ] as const) {
      let isReached = false
      const after: Step = {
        run() {
          isReached = true
        },
      }
      t.equal(await run([step, after]), outcome)
      t.notOk(isReached)
    }
  })
}

t.test('no step runs after the request was answered during an asynchronous one', async t => {
  const answered = { sent: false }
  let isReached = false
  const steps: Step[] = [
    {
      async run() {
        await null
        answered.sent = true
      },
    },
    {
      run() {
        isReached = true
      },
    },
  ]
  let isDone = false
  runSteps(steps, request, answered as FastifyReply, () => {
    isDone = true
  })
  await new Promise(setImmediate)
  t.notOk(isReached)
  t.notOk(isDone)
})

t.test('synchronous steps run within the call', async t => {
  let isDone = false
  runSteps([{ run() {} }, { run() {} }], request, reply, () => {
    isDone = true
  })
  t.ok(isDone)
})

t.test('a route has the steps that apply to it, in order of registration', async t => {
  const done: string[] = []
  const step = (name: string, appliesTo?: Step['appliesTo']): Step => ({
    ...(appliesTo && { appliesTo }),
    run() {
      done.push(name)
    },
  })
  const all = {
    ...emptyPhases(),
    onRequest: [step('first')],
    guard: [
      step('unknown', route => route === null),
      step('always'),
      step('changes', route => route?.isUnsafe === true),
    ],
    preValidation: [step('body')],
    authorize: [step('row')],
  }
  const passed = (method: string | string[] | null, awaitsBody = false) => {
    const route = method === null ? null : traitsOf({ url: '/x', method, handler() {} })
    const { onRequest, preValidation } = stepsFor(all, route)
    done.length = 0
    for (const steps of [onRequest, preValidation]) {
      runSteps(steps, { awaitsBody } as FastifyRequest, reply, () => done.push('|'))
    }
    return done.join(' ')
  }
  t.equal(passed('GET'), 'first always | body row |')
  t.equal(passed(['GET', 'HEAD']), 'first always | body row |')
  t.equal(passed('DELETE'), 'first always changes | body row |')
  t.equal(passed(['GET', 'PUT']), 'first always changes | body row |')
  t.equal(passed(null), 'first unknown always | body row |')
  t.equal(
    passed('PUT', true),
    'first | body always changes row |',
    'CSRF steps run after the body that has the token',
  )
})
