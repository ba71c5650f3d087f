import type { Layout, LayoutView } from './layout.ts'
import { marker } from './marker.ts'
import { settle } from './settle.ts'
import { tensorflow } from './tensorflow.ts'

/** Every layout, in the order in which --layout auto asks them. A new framework is a file and a line here. */
export const LAYOUTS: readonly Layout[] = [marker, tensorflow, settle]

/**
 * The layout of a tree under --layout auto: the first that finds its traces. An unfinished save is a trace too, so
 * the strict rule is in place before `settle` could mistake a pause in the writing for its end.
 */
export async function chooseLayout(view: LayoutView, fixed?: Layout | undefined): Promise<Layout> {
  // Once a framework was seen, a moment in which rotation left no trace of it changes nothing.
  if (fixed !== undefined && fixed !== settle) return fixed
  for (const layout of LAYOUTS) if (await layout.claims(view)) return layout
  return settle
}
