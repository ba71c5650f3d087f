import type { Lease, Pin } from '../manifest/lease.ts'
import type { Cache } from './types.ts'

export interface LeaseRequest {
  dataset: string
  /** leaseOwner(env), or the user's --lease-owner */
  owner: string
  /** ms from now; default 7 days. Taken again by the same owner, the lease is renewed, never shortened. */
  ms?: number | undefined
  /** Holds while this process lives, and no longer. */
  live?: boolean | undefined
}

export interface HeldLease {
  id: string
  until: number
  live: boolean
  /** Ends it before its time. Idempotent. */
  release(): Promise<void>
}

/**
 * Keeps the dataset from being evicted. No dataset lock needed: take the lease, THEN read READY; an evict that
 * withdraws READY looks for leases after that, so one of the two sees the other. Read-only cache: LOCAL_IO.
 */
export declare function takeLease(cache: Cache, request: LeaseRequest): Promise<HeldLease>

/** Keeps it until release(). Pinned again by the same owner: the same pin. Then read READY, as with a lease. */
export declare function pinDataset(cache: Cache, request: { dataset: string; owner: string }): Promise<Pin>

/** Who a lease belongs to: the Slurm job (and array task), the Kubernetes pod's uid, the Batch job, else the user id. */
export declare function leaseOwner(env: Readonly<Record<string, string | undefined>>): string

export type { Lease, Pin }
