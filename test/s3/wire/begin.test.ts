import { beginGets } from './raw-server.ts'

// What a GET promises, it promises as well when it is begun without a promise.
beginGets()
await import('./get.test.ts')
await import('./trouble.test.ts')
await import('./pool.test.ts')
