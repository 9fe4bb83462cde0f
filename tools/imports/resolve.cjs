const { resolve } = require('node:path')

// package.json maps `#src/` to dist/, the compiled code; these rules apply to the sources.
module.exports = { resolve: { alias: { '#src': resolve(__dirname, '../../src') } } }
