import fp from 'fastify-plugin'

/** Confirms the password that a form brings along instead of a confirmation, before anything else that it asks for. */
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
