const { resolve } = require('node:path')

// package.json leads `#src/` to dist/, where the compiled code is; these rules are about the sources.
module.exports = { resolve: { alias: { '#src': resolve(__dirname, '../../src') } } }
