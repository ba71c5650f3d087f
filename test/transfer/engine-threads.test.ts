import { engineSuite } from './engine-suite.ts'

engineSuite(2)
