'use strict'
const { readFileSync } = require('node:fs')
const { createRequire } = require('node:module')
const { dirname, join } = require('node:path')
const vm = require('node:vm')
const zlib = require('node:zlib')

const dist = join(__dirname, '../dist')
let loadedSdk

/**
 * The same code as a script, with what this very node once compiled of it: a quarter of a short command's CPU is
 * compiling. undefined: the build was made by another version of node, or without it, or a byte of it is not what it
 * was: V8 does not look, and ends the process in the middle. See scripts/seal-code.mjs for the form. What the script
 * asks for late is compiled anew then: by that time there is no way back.
 */
function compiled(name, late = false) {
  const filename = join(dist, name)
  let bytes
  try {
    bytes = readFileSync(filename)
  } catch (error) {
    if (late) throw error
    return undefined
  }
  const cachedData = sound(filename, bytes)
  if (cachedData === undefined && !late) return undefined
  // All ASCII: the build escapes what is not.
  const script = new vm.Script(bytes.latin1Slice(), { filename, cachedData })
  if (script.cachedDataRejected && !late) return undefined
  return run(script, filename, sdk)
}

/** What a script of the build exports; `sdk` gives what it asks for late. */
function run(script, filename, sdk) {
  const module = { exports: {} }
  const ofNode = createRequire(filename)
  const require = (id) => (id === './sdk.cjs' ? sdk() : ofNode(id))
  script.runInThisContext()(module.exports, require, module, filename, dirname(filename))
  return module.exports
}

function sdk() {
  loadedSdk ??= compiled('sdk.cjs', true)
  return loadedSdk
}

/** What was compiled of a script; undefined: it is not there, or of other bytes. */
function sound(filename, bytes) {
  let sealed
  try {
    sealed = readFileSync(codeOf(filename))
  } catch {
    return undefined
  }
  const cachedData = sealed.subarray(8)
  if (zlib.crc32 === undefined || sealed.length < 8) return undefined
  const sums = [zlib.crc32(cachedData), zlib.crc32(bytes)]
  return sealed.readUInt32LE(0) === sums[0] && sealed.readUInt32LE(4) === sums[1] ? cachedData : undefined
}

/** Where what was compiled of a script is kept, for this version of node. */
function codeOf(filename) {
  return `${filename}.${process.version}-${process.platform}-${process.arch}`
}

exports.compiled = compiled
exports.run = run
exports.codeOf = codeOf
