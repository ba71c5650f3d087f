import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { firstEvent } from '../src/first-event.ts'

test('the first of some events is enough, and none is listened for any more', async () => {
  const [one, other] = [new EventEmitter(), new EventEmitter()]
  let came = false
  const first = firstEvent([one, 'ready'], [one, 'close'], [other, 'close']).then(() => {
    came = true
  })
  one.emit('other')
  await Promise.resolve()
  assert.equal(came, false)
  other.emit('close')
  await first
  assert.deepEqual([...one.eventNames(), ...other.eventNames()], [])
})
