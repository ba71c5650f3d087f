// A preload in a process of its own, to be killed: node --import tsx preload-child.ts '<json: options, settings, env>'
import { preload } from '../../src/commands/preload.ts'
import { contextFor } from './support.ts'

const { options, settings, env } = JSON.parse(process.argv[2] ?? '{}')
await preload(options, contextFor({ settings, env }))
