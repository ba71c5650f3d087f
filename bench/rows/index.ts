import type { Row } from '../types.ts'
import { jobStart } from './job-start.ts'
import { largeFiles } from './large-files.ts'
import { listing } from './listing.ts'
import { pack } from './pack.ts'
import { packScale } from './pack-scale.ts'
import { sdkLane } from './sdk-lane.ts'
import { smallFiles } from './small-files.ts'
import { upload } from './upload.ts'

export const ROWS: readonly Row[] = [
  smallFiles,
  pack,
  jobStart,
  largeFiles,
  upload,
  packScale,
  listing,
  sdkLane,
]
