/** What transfers count as they go; each thread has its own. */
export interface Counters {
  /** A request of that kind begins. */
  request(kind: string): void
  /** One is answered that was asked behind another on its connection, before that was answered. */
  behind(): void
  retry(reason: string, slowDown: boolean): void
  bytesIn(bytes: number): void
  bytesOut(bytes: number): void
}
