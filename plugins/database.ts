import fp from 'fastify-plugin'

/** Closes the database when the app closes, after everything that still writes to it. */
export default fp(
  async app => {
    app.addHook('onClose', () => app.database.close())
  },
  { name: 'database' },
)
