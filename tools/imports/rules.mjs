/**
 * Which modules (folders of src/) may import which; `make check` enforces it (dependency-cruiser). Modules are in the
 * order of their layers: none imports a later one. All may import `runtime`, which has the units.
 */
const MODULES = {
  runtime: [],
  auth: [],
  responses: ['auth'],
  config: ['auth'],
  input: ['responses', 'auth'],
  limits: ['responses', 'auth'],
  screening: ['auth', 'config', 'input'],
  mail: ['auth', 'config', 'limits'],
  database: ['auth', 'config', 'input', 'limits'],
  query: ['responses', 'auth', 'config', 'database', 'input'],
  api: ['responses', 'auth', 'input', 'query'],
  accounts: ['responses', 'auth', 'config', 'database', 'input', 'limits', 'mail', 'screening'],
  lists: ['responses', 'api', 'auth', 'config', 'database', 'input', 'limits', 'query'],
  http: ['accounts', 'responses', 'api', 'auth', 'config', 'database', 'input', 'limits'],
  metrics: ['responses', 'auth', 'config', 'http', 'limits', 'mail'],
  openapi: ['responses', 'api', 'auth', 'config', 'http', 'input', 'query'],
  panel: ['accounts', 'responses', 'auth', 'config', 'database', 'http', 'input'],
}

/** Modules that commands must not import: they call use-cases, and start the server. */
const NOT_FOR_COMMANDS = ['lists', 'panel', 'query']

const modulePath = names => `^src/(${names.join('|')})/`

const PROJECT = '^(src|plugins|routes|test|bench|tools)/'

export default {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'everything-resolves',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    ...Object.entries(MODULES).map(([name, allowed]) => ({
      name: `${name}-imports-only-lower-modules`,
      comment: `src/${name} may import ${['runtime', ...allowed].join(', ')}: see tools/imports/rules.mjs`,
      severity: 'error',
      from: { path: modulePath([name]) },
      to: { path: PROJECT, pathNot: modulePath([name, 'runtime', ...allowed]) },
    })),
    {
      name: 'commands-call-use-cases',
      severity: 'error',
      from: { path: modulePath(['commands']) },
      to: { path: [modulePath(NOT_FOR_COMMANDS), '^(plugins|routes|test|bench|tools)/', '^src/pipeline'] },
    },
    {
      name: 'routes-import-no-plugins',
      severity: 'error',
      from: { path: '^routes/' },
      to: { path: '^(plugins|test|bench|tools)/|^src/(commands|config/load|[^/]+\\.ts)' },
    },
    {
      name: 'plugins-import-no-routes',
      severity: 'error',
      from: { path: '^plugins/' },
      to: { path: '^(routes|plugins|test|bench|tools)/|^src/(commands|[^/]+\\.ts)' },
    },
    {
      name: 'only-the-pipeline-imports-plugins',
      severity: 'error',
      from: { path: '^(src|routes)/', pathNot: '^src/pipeline\\.ts$' },
      to: { path: '^plugins/' },
    },
    {
      name: 'only-the-database-has-sql',
      severity: 'error',
      comment: 'kysely and pg belong to src/database; others may name their types',
      from: { path: '^(src|plugins|routes)/', pathNot: '^src/database/' },
      to: { path: 'node_modules/(kysely|pg|@electric-sql)/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-http-in-the-domain',
      severity: 'error',
      from: {
        path: modulePath(['auth', 'responses', 'config', 'input', 'mail', 'database', 'query', 'accounts']),
      },
      to: { path: 'node_modules/(fastify|@fastify)[^/]*/', dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
    webpackConfig: { fileName: 'tools/imports/resolve.cjs' },
    reporterOptions: {
      archi: {
        collapsePattern: '^(plugins|routes|src/[^/]+)',
        theme: { graph: { rankdir: 'TB' } },
      },
      mermaid: { minify: false },
    },
  },
}
