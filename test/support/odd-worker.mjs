// A worker thread that goes wrong as ODD_WORKER says, when it boots or the first time it is given work; the threads after it are real.
import { parentPort, workerData } from 'node:worker_threads'
import { register } from 'tsx/esm/api'

register()
const how = process.env.ODD_WORKER
const { viewShared } = await import('../../src/transfer/shared.ts')
const member = viewShared(workerData.memory).member(workerData.member)
// Those that end have one successor; of those that hang, the first one only.
const odd = how !== 'none' && (how === 'always' || workerData.member === 1)
if (!odd) await import('../../src/transfer/worker.ts')
else {
  if (how === 'boot') process.exit(7)
  parentPort.on('message', (message) => {
    member.beatOnce()
    if (message.kind === 'close') parentPort.close()
    if (message.kind !== 'work') return
    if (how === 'exit' || how === 'always') process.exit(7)
    if (how === 'throw') throw new Error('a bug in the thread')
    // Tickets begin at 0.
    if (how === 'disk') member.disk = 0
    for (;;);
  })
}
