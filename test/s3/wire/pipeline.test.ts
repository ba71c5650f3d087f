import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from '../../../src/checksum/crc32.ts'
import { openPipeline, type Pipeline } from '../../../src/s3/wire/pipeline.ts'
import type { WireStore } from '../../../src/s3/wire/types.ts'
import type { Cleanup } from '../../support/tmp.ts'
import { beginning, ok, type RawOptions, type RawRequest, rangeOf, rawServer } from './raw-server.ts'

const lookAt = (shares: number[], ms: number, answers: number | number[] = 100) => {
  let at = 0
  const pipeline = openPipeline(() => shares[at] ?? 0)
  const states: boolean[] = []
  for (; at < shares.length; at++) {
    const count = typeof answers === 'number' ? answers : (answers[at] ?? 0)
    for (let i = 0; i < count; i++) pipeline.answered(ms, false)
    pipeline.look()
    states.push(pipeline.on)
  }
  return states
}

test('a busy thread asks a near server ahead, a far one never', () => {
  assert.deepEqual(lookAt([0.2, 0.9, 0.9], 1), [false, true, true])
  assert.deepEqual(lookAt([0.9, 0.9, 0.9], 20), [false, false, false])
  assert.deepEqual(lookAt([0.9], 1, 0), [false])
})

test('a thread that becomes idle asks no longer ahead, and may again', () => {
  assert.deepEqual(lookAt([0.9, 0.1, 0.1, 0.9], 1), [true, false, false, true])
})

test('with fewer answers and a thread that waits for them, asking ahead rests, longer each time', () => {
  const busy = [0.9, 0.5, 0.5, 0.5, 0.9, 0.9]
  assert.deepEqual(lookAt(busy, 1, [100, 50, 50, 50, 100, 100]), [true, true, true, false, false, false])
  const long = Array.from({ length: 140 }, (_, i) => (i === 0 || i === 45 || i > 52 ? 0.9 : 0.4))
  const states = lookAt(
    long,
    1,
    long.map((share) => (share > 0.5 ? 100 : 50)),
  )
  const turns = states.flatMap((state, i) => (state === (states[i - 1] ?? false) ? [] : [i]))
  // Tried at 45 once more, judged after three windows, and then left for 80.
  assert.deepEqual(turns, [0, 3, 45, 48, 129])
  // The thread is as busy as before: what answers there are depends on something else.
  assert.deepEqual(lookAt([0.9, 0.9, 0.9, 0.9], 1, [100, 50, 50, 50]), [true, true, true, true])
  assert.deepEqual(lookAt(busy, 1, [100, 150, 150, 150, 100, 100]), Array(6).fill(true))
})

test('a server that ends connections with much of what was asked ahead is asked so no longer, one that does it seldom is', () => {
  for (const [answered, ended] of [
    [1000, false],
    [100, true],
  ] as const) {
    const pipeline = openPipeline(() => 1)
    pipeline.answered(1, false)
    pipeline.look()
    for (let i = 0; i < answered; i++) pipeline.answered(1, true)
    for (let i = 0; i < 40; i++) pipeline.askedAgain()
    assert.equal(pipeline.on, !ended)
    pipeline.look()
    assert.equal(pipeline.on, !ended)
  }
})

/** Asks ahead until it is misled, and keeps what it was told. */
function always(): Pipeline & { behind: number; again: number } {
  const self = {
    on: true,
    behind: 0,
    again: 0,
    get proven() {
      return self.behind > 0
    },
    answered(_: number, behind: boolean) {
      if (behind) self.behind++
    },
    askedAgain() {
      self.again++
    },
    misled() {
      self.on = false
    },
    look() {},
  }
  return self
}

const bodyOf = (key: string, length = 40): Buffer => {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = (key.charCodeAt(i % key.length) * 31 + i) % 251
  return bytes
}
const keyOf = ({ head }: RawRequest): string => /^GET \/b\/(\S+) /.exec(head)?.[1] ?? ''
const answerOf = (request: RawRequest, length = 40): Buffer => {
  const key = keyOf(request)
  return ok(bodyOf(key, length), { ETag: `"${key}"` })
}

interface Asked {
  requests: number
  behind: number
  retries: string[]
}

function asking(wire: WireStore) {
  const asked: Asked = { requests: 0, behind: 0, retries: [] }
  const begun = beginning(wire)
  const get = async (
    key: string,
    { length = 40, etag = `"${key}"`, signal = undefined as AbortSignal | undefined } = {},
  ) => {
    const into = Buffer.alloc(length)
    const got = await begun.getInto({ key, offset: 0, size: length, etag, sum: true }, into, {
      signal,
      onRequest: () => void asked.requests++,
      onBehind: () => void asked.behind++,
      onRetry: ({ reason }) => void asked.retries.push(reason),
    })
    assert.deepEqual(into, bodyOf(key, length), key)
    assert.equal(got.crc32, crc32(into), key)
    return got
  }
  return { get, asked }
}

/** A wire to a server that answers the first request, so that its connection is known to be kept. */
async function warm(t: Cleanup, options: RawOptions) {
  const server = await rawServer(t, {
    ...options,
    answer: (request) =>
      keyOf(request) === 'first' ? void request.socket.write(answerOf(request)) : options.answer(request),
  })
  const pipeline = always()
  const wire = server.openWire({ secure: options.tls === true }, { pipeline })
  const { get, asked } = asking(wire)
  await get('first')
  const all = (count: number) => Promise.all(Array.from({ length: count }, (_, i) => get(`k${i}`)))
  return { server, pipeline, wire, get, asked, all }
}

for (const tls of [false, true]) {
  test(`what is asked behind others on one connection comes to its own place (${tls ? 'https' : 'http'})`, async (t) => {
    const { server, pipeline, all, asked } = await warm(t, {
      tls,
      answer: (request) => void request.socket.write(answerOf(request)),
    })
    const got = await all(16)
    assert.equal(server.connections, 1)
    assert.equal(pipeline.behind, 15)
    assert.ok(got.every(({ crc32 }) => crc32 !== undefined))
    assert.deepEqual(asked, { requests: 17, behind: 15, retries: [] })
  })
}

test('answers are understood wherever the reads between them end', async (t) => {
  for (const step of [1, 7, 64, 100_000]) {
    let waiting: Buffer[] = []
    const { server, all } = await warm(t, {
      async answer(request) {
        waiting.push(answerOf(request))
        if (waiting.length < 6) return
        const bytes = Buffer.concat(waiting)
        waiting = []
        for (let at = 0; at < bytes.length; at += step) {
          request.socket.write(bytes.subarray(at, at + step))
          await new Promise(setImmediate)
        }
      },
    })
    await all(6)
    assert.equal(server.connections, 1)
  }
})

test('no more than sixteen wait on a connection, and those that follow are sent together', async (t) => {
  const held: RawRequest[] = []
  const { server, get } = await warm(t, { answer: (request) => void held.push(request) })
  const all = Promise.all(Array.from({ length: 20 }, (_, i) => get(`k${i}`)))
  while (held.length < 4 + 9) await sleep(5)
  assert.equal(server.connections, 5)
  await sleep(50)
  // Of the sixteen on the first connection seven are written when no more than eight wait.
  assert.equal(held.filter(({ connection }) => connection === 0).length, 9)
  const release = () => {
    for (const request of held.splice(0)) request.socket.write(answerOf(request))
  }
  const timer = setInterval(release, 5)
  await all
  clearInterval(timer)
  assert.equal(server.connections, 5)
})

test('a long object, one without an ETag and a second attempt have their connections to themselves', async (t) => {
  const shared: string[] = []
  const open = new Map<number, number>()
  const { get } = await warm(t, {
    async answer(request) {
      const { connection, socket } = request
      const before = open.get(connection) ?? 0
      open.set(connection, before + 1)
      if (before > 0) shared.push(keyOf(request))
      const long = keyOf(request).startsWith('long')
      await sleep(20)
      socket.write(answerOf(request, long ? 100_000 : 40))
      open.set(connection, (open.get(connection) ?? 0) - 1)
    },
  })
  await Promise.all([
    get('k0'),
    get('long', { length: 100_000 }),
    get('none', { etag: '' }),
    get('k1'),
    get('long2', { length: 100_000 }),
  ])
  assert.deepEqual(shared, ['k1'])
})

for (const told of [true, false]) {
  test(`a connection that ends after an answer${told ? ', as it said,' : ''} costs the others no attempt: they are asked by themselves`, async (t) => {
    const { server, pipeline, all, asked } = await warm(t, {
      answer(request) {
        if (request.connection > 0) return void request.socket.write(answerOf(request))
        if (request.onConnection > 2) return
        const end = request.onConnection === 2
        const { socket } = request
        const key = keyOf(request)
        socket.write(ok(bodyOf(key), { ETag: `"${key}"`, ...(end && told ? { Connection: 'close' } : {}) }))
        if (end) socket.end()
      },
    })
    await all(8)
    assert.deepEqual(asked.retries, [])
    assert.equal(pipeline.again, 6)
    assert.equal(asked.requests, 9 + 6)
    assert.ok(
      server.requests
        .filter(({ connection }) => connection > 0)
        .every(({ onConnection }) => onConnection === 0),
    )
  })
}

test('an answer that breaks off costs the one that it was for an attempt, and none the others', async (t) => {
  let broken = 0
  const { all, asked } = await warm(t, {
    answer(request) {
      const bytes = answerOf(request)
      if (keyOf(request) !== 'k2' || broken++ > 0) return void request.socket.write(bytes)
      request.socket.write(bytes.subarray(0, bytes.length - 5))
      request.socket.end()
    },
  })
  await all(8)
  assert.equal(asked.retries.length, 1)
})

test('a 503 is the one request that it answers, and the others go on behind it', async (t) => {
  let refused = 0
  const { server, pipeline, all, asked } = await warm(t, {
    answer(request) {
      if (keyOf(request) !== 'k2' || refused++ > 0) return void request.socket.write(answerOf(request))
      request.socket.write(ok('<Error><Code>SlowDown</Code></Error>', {}, '503 Slow Down'))
    },
  })
  await all(8)
  assert.equal(asked.retries.length, 1)
  assert.equal(pipeline.again, 0)
  assert.equal(server.requests.length, 1 + 8 + 1)
})

test('a server that leaves what was asked behind another unanswered is asked one at a time, after two seconds', async (t) => {
  const { pipeline, all, asked } = await warm(t, {
    async answer(request) {
      if (request.connection === 0 && request.onConnection > 1) return
      await sleep(20)
      request.socket.write(answerOf(request))
    },
  })
  await all(4)
  assert.equal(pipeline.on, false)
  assert.deepEqual(asked.retries, [])
})

for (const late of [1, 2]) {
  test(`an answer that is another object’s is believed from nobody: it is asked for again by itself, and nothing ahead any more (${late})`, async (t) => {
    const { pipeline, all, asked, server } = await warm(t, {
      async answer(request) {
        if (request.connection === 0 && request.onConnection === late) await sleep(30)
        request.socket.write(answerOf(request))
      },
    })
    await all(5)
    assert.equal(pipeline.on, false)
    assert.deepEqual(asked.retries, [])
    const alone = server.requests.filter(({ connection }) => connection > 0)
    assert.ok(alone.length >= 3)
  })
}

test('an object that has changed is the SDK lane’s to tell, and no reason to ask for others one at a time', async (t) => {
  const { pipeline, get } = await warm(t, {
    answer(request) {
      const changed = keyOf(request) === 'k1'
      request.socket.write(changed ? ok(bodyOf('k1'), { ETag: '"new"' }) : answerOf(request))
    },
  })
  const [one, two, three] = await Promise.allSettled([get('k0'), get('k1'), get('k2')])
  assert.deepEqual([one?.status, two?.status, three?.status], ['fulfilled', 'rejected', 'fulfilled'])
  assert.match(String(two?.status === 'rejected' && two.reason), /another ETag/)
  assert.equal(pipeline.on, true)
})

test('memory that was taken away ends its own request, and none of the others', async (t) => {
  const held: RawRequest[] = []
  const { wire, get, asked } = await warm(t, {
    answer(request) {
      if (request.connection === 0) held.push(request)
      else request.socket.write(answerOf(request))
    },
  })
  const into = new Uint8Array(40)
  const request = { key: 'k0', offset: 0, size: 40, etag: '"k0"' }
  const gone = beginning(wire).getInto(request, into)
  gone.catch(() => {})
  const others = Promise.all([get('k1'), get('k2')])
  while (held.length < 3) await sleep(5)
  const [first, ...behind] = held
  assert.ok(first !== undefined)
  const answer = answerOf(first)
  first.socket.write(answer.subarray(0, -20))
  while (into[19] === 0) await sleep(1)
  structuredClone(into, { transfer: [into.buffer] })
  first.socket.write(answer.subarray(-20))
  for (const one of behind) one.socket.write(answerOf(one))
  await assert.rejects(gone)
  await others
  assert.deepEqual(asked.retries, [])
})

test('nothing more is asked on a connection that is silent', async (t) => {
  const { get, server } = await warm(t, {
    answer(request) {
      if (keyOf(request) !== 'stuck') request.socket.write(answerOf(request))
    },
  })
  const given = new AbortController()
  const stuck = get('stuck', { signal: given.signal })
  stuck.catch(() => {})
  await sleep(1000)
  await get('k0')
  assert.equal(server.connections, 2)
  given.abort(new Error('enough'))
  await assert.rejects(stuck, /enough/)
})

test('what is no answer at all, behind another, is no failure either', async (t) => {
  const { pipeline, all, asked } = await warm(t, {
    answer(request) {
      const odd = request.connection === 0 && request.onConnection === 2
      request.socket.write(odd ? 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n' : answerOf(request))
    },
  })
  await all(5)
  assert.equal(pipeline.on, false)
  assert.deepEqual(asked.retries, [])
})

test('a server that answers nothing right while more is asked on a connection is soon asked one at a time', async (t) => {
  const { pipeline, all, asked } = await warm(t, {
    async answer(request) {
      const { connection, socket } = request
      waiting.set(connection, (waiting.get(connection) ?? 0) + 1)
      await sleep(5)
      const alone = waiting.get(connection) === 1
      if (alone) waiting.delete(connection)
      socket.write(alone ? answerOf(request) : 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')
    },
  })
  const waiting = new Map<number, number>()
  await all(40)
  assert.equal(pipeline.on, false)
  assert.deepEqual(asked.retries, [])
})

test('one that is given up while it waits behind others takes none of them with it', async (t) => {
  const held: RawRequest[] = []
  const { get, asked } = await warm(t, {
    answer(request) {
      if (request.connection > 0) request.socket.write(answerOf(request))
      else if (held.push(request) === 1) request.socket.write(answerOf(request).subarray(0, -5))
    },
  })
  const ended = new AbortController()
  const others = Promise.all([get('k0'), get('k1')])
  const given = get('k2', { signal: ended.signal })
  const last = get('k3')
  while (held.length < 4) await sleep(5)
  await sleep(20)
  ended.abort(new Error('no longer wanted'))
  await assert.rejects(given, /no longer wanted/)
  await Promise.all([others, last])
  assert.deepEqual(asked.retries, [])
})

test('one that is given up in the middle of its answer takes none of those behind it with it', async (t) => {
  const { get, asked, server } = await warm(t, {
    answer(request) {
      const bytes = answerOf(request)
      if (request.connection === 0)
        request.socket.write(request.onConnection === 1 ? bytes.subarray(0, -5) : '')
      else request.socket.write(bytes)
    },
  })
  const ended = new AbortController()
  const given = get('k0', { signal: ended.signal })
  const others = Promise.all([get('k1'), get('k2')])
  while (server.requests.length < 4) await sleep(5)
  await sleep(20)
  ended.abort(new Error('no longer wanted'))
  await assert.rejects(given, /no longer wanted/)
  await others
  assert.deepEqual(asked.retries, [])
})

test('one that is overtaken by its second request takes none of those behind it with it', async (t) => {
  let slow = true
  const { get, asked, pipeline } = await warm(t, {
    answer(request) {
      if (keyOf(request) === 'slow' && slow) slow = false
      else if (request.connection > 0 || slow) request.socket.write(answerOf(request))
    },
  })
  for (let i = 0; i < 99; i++) await get(`k${i}`)
  await Promise.all([get('slow'), get('a'), get('b')])
  assert.deepEqual(asked.retries, [])
  assert.equal(pipeline.again, 0)
})

test('a closed wire leaves nothing waiting, whatever its place', async (t) => {
  const { wire, get } = await warm(t, { answer() {} })
  const all = Array.from({ length: 20 }, (_, i) => get(`k${i}`))
  await sleep(20)
  wire.close()
  for (const one of await Promise.allSettled(all)) assert.equal(one.status, 'rejected')
})

test('bytes behind the last answer end the connection', async (t) => {
  const { server, all, get } = await warm(t, {
    answer(request) {
      request.socket.write(answerOf(request))
      if (request.connection === 0 && request.onConnection === 4)
        setTimeout(() => request.socket.write('x'), 20)
    },
  })
  await all(4)
  await sleep(60)
  await get('k9')
  assert.equal(server.connections, 2)
})

test('ranges are asked ahead as whole objects are', async (t) => {
  const object = bodyOf('object', 1000)
  const server = await rawServer(t, {
    answer: (request) => void request.socket.write(rangeOf(request, object)),
  })
  const pipeline = always()
  const wire = beginning(server.openWire({}, { pipeline }))
  const part = async (offset: number) => {
    const into = Buffer.alloc(100)
    await wire.getInto({ key: 'object', offset, size: 1000, etag: '"e"' }, into)
    assert.deepEqual(into, object.subarray(offset, offset + 100))
  }
  await part(0)
  await Promise.all([100, 300, 500, 700].map(part))
  assert.equal(pipeline.behind, 3)
})
