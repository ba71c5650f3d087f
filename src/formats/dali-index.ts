/** What a DALI index needs of a member. */
export interface DaliComponent {
  name: string
  ext: string
  /** Of the body; a multiple of 512. */
  offset: number
  size: number
}

/**
 * NVIDIA DALI's index of a WebDataset tar: `v1.2 N`, then a line a sample, `ext offset size name` for each
 * member (webdataset_loader.cc, written by its wds2idx.py). The fields are read up to white space, so a name that
 * holds any makes v1.2 unreadable: such a shard gets v1.1, the form without names, which DALI reads as well.
 * Where an extension holds white space neither can say it.
 */
export type DaliVersion = 'v1.1' | 'v1.2'

export function daliHeader(version: DaliVersion, samples: number): string {
  return `${version} ${samples}\n`
}

export function daliLine(version: DaliVersion, members: readonly DaliComponent[]): string {
  const fields = members.map(({ ext, offset, size, name }) =>
    version === 'v1.2' ? `${ext} ${offset} ${size} ${name}` : `${ext} ${offset} ${size}`,
  )
  return `${fields.join(' ')}\n`
}

/** The form that can hold all of these members too, when `so` can hold those before them. */
export function daliVersionWith(
  so: DaliVersion | undefined,
  members: readonly Pick<DaliComponent, 'name' | 'ext'>[],
): DaliVersion | undefined {
  let version = so
  for (const member of members) {
    if (version === undefined) return undefined
    const own = daliVersionFor(member)
    if (own !== 'v1.2') version = own
  }
  return version
}

/** The form that can hold this member; undefined: none. */
export function daliVersionFor(member: Pick<DaliComponent, 'name' | 'ext'>): DaliVersion | undefined {
  if (!/\s/.test(member.name)) return 'v1.2'
  return /\s/.test(member.ext) ? undefined : 'v1.1'
}
