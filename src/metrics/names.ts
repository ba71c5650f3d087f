/** Every metric that longshore tells, in one place: docs and dashboards are written from it. Names are stable. */
export interface Metric {
  name: string
  type: 'gauge' | 'counter'
  /** Prometheus base unit */
  unit: 'seconds' | 'bytes' | 'files' | 'requests' | 'retries' | 'status' | 'info'
  help: string
  labels: readonly string[]
}

export const METRICS = {
  preloadExit: {
    name: 'longshore_preload_exit_status',
    type: 'gauge',
    unit: 'status',
    help: 'Exit status of the last preload, before its CMD: 0 when every source is on this node.',
    labels: [],
  },
  preloadFinished: {
    name: 'longshore_preload_finished_timestamp_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'Unix time at which the last preload ended.',
    labels: [],
  },
  preloadDuration: {
    name: 'longshore_preload_duration_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'How long the last preload took.',
    labels: [],
  },
  preloadBytes: {
    name: 'longshore_preload_bytes',
    type: 'gauge',
    unit: 'bytes',
    help: 'Bytes of a source on this node, by how they came: fetched, kept from an earlier run, linked to an older version.',
    labels: ['source', 'how'],
  },
  preloadFiles: {
    name: 'longshore_preload_files',
    type: 'gauge',
    unit: 'files',
    help: 'Files of a source on this node, by how they came.',
    labels: ['source', 'how'],
  },
  preloadChecked: {
    name: 'longshore_preload_checked_files',
    type: 'gauge',
    unit: 'files',
    help: 'Fetched files of a source by the check that their bytes passed.',
    labels: ['source', 'check'],
  },
  preloadRequests: {
    name: 'longshore_preload_requests',
    type: 'gauge',
    unit: 'requests',
    help: 'Requests that the last preload sent, by kind.',
    labels: ['kind'],
  },
  preloadRetries: {
    name: 'longshore_preload_retries',
    type: 'gauge',
    unit: 'retries',
    help: 'Requests that the last preload sent again.',
    labels: [],
  },
} as const satisfies Record<string, Metric>
