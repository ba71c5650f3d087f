import type { Estimate } from '../commands/context.ts'
import type { Prices } from './config.ts'
import { bytes, count } from './format.ts'

/** A dry run's answer; money only where the config has prices. */
export function estimateLines(estimate: Estimate, prices: Prices | undefined): string[] {
  const lines = [
    'dry run: nothing was changed',
    `requests  LIST ${count(estimate.list)}, GET ${count(estimate.get)}, PUT ${count(estimate.put)}`,
    `transfer  ${bytes(estimate.bytes)}`,
    `disk      ${bytes(estimate.disk)}`,
  ]
  if (prices !== undefined) lines.push(`price     ${money(estimate, prices).toFixed(2)} ${prices.currency}`)
  return lines
}

/** In the config's currency. */
export function money(estimate: Estimate, prices: Prices): number {
  const requests = estimate.list * prices.list + estimate.get * prices.get + estimate.put * prices.put
  return requests / 1000 + (estimate.bytes / 2 ** 30) * prices.transfer
}
