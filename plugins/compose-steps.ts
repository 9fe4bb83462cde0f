import fp from 'fastify-plugin'

/** Composes the steps of the plugins before it into the hooks of each route. */
export default fp(async app => app.composeSteps(), { name: 'compose-steps', dependencies: ['steps'] })
