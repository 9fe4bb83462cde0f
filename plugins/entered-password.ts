import fp from 'fastify-plugin'

/** Verifies the `current_password` of forms with `password: 'confirmed or entered'`, if it was not confirmed recently. */
export default fp(
  async app => {
    app.addStep('preHandler', {
      appliesTo: route => route?.config.access?.password === 'confirmed or entered',
      run(request) {
        if (!request.owesPassword()) return
        const { current_password: password } = (request.body ?? {}) as { current_password?: string | null }
        return app.passwords.confirm(request, password, 'current_password')
      },
    })
  },
  { name: 'entered-password', dependencies: ['access', 'steps'] },
)
