import fastify from 'fastify'
import t from 'tap'
import composeSteps from '../../plugins/compose-steps.ts'
import steps from '../../plugins/steps.ts'

t.test(
  'a route that is registered before the steps are composed is refused: nothing would guard it',
  async t => {
    const app = fastify()
    await app.register(steps)
    t.throws(() => app.get('/early', async () => 'unguarded'), { message: /\/early would have no steps/ })
    await app.close()
  },
)

t.test('a step that is added after the steps were composed is refused: no route would run it', async t => {
  const app = fastify()
  await app.register(steps)
  await app.register(composeSteps)
  t.throws(() => app.addStep('onRequest', { run: () => undefined }), {
    message: /after the steps were composed/,
  })
  await app.close()
})
