'use strict'
// What a worker thread of a build's script begins with: the same way as bin/longshore.js, half of what its code costs.
const { compiled } = require('./compiled.cjs')

if (compiled('worker.cjs') === undefined) import('../dist/worker.js')
