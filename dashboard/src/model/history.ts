/** A component's last hour as charts draw it. */
import type { HistorySample } from '../live/wire'

/** Nodes keep no sample of a time in which nothing was asked and nothing ran: those are zeros. What lies before the first is not known. */
export function bridged(samples: readonly HistorySample[], step: number, from: number, to: number): HistorySample[] {
  const found: HistorySample[] = []
  let due: number | undefined
  const idle = (time: number) =>
    found.push({ time, requestsPerSecond: 0, errorsPerSecond: 0, inFlight: 0, waiting: 0, instances: 0 })
  for (const sample of samples) {
    // Of a step that is still being counted the rates are not known yet.
    if (sample.time + step > to) break
    if (sample.time < from) {
      due = sample.time + step
      continue
    }
    if (due !== undefined) for (; due < sample.time - step / 2; due += step) if (due >= from) idle(due)
    found.push(sample)
    due = sample.time + step
  }
  if (due !== undefined) for (; due < to - 1.5 * step; due += step) if (due >= from) idle(due)
  return found
}

const MINUTE = 60_000
const SPANS = [5, 15, 30, 60]

/** How many minutes a chart shows: an hour, or less while there is less. */
export function minutesOf(samples: readonly HistorySample[], to: number): number {
  const first = samples[0]?.time ?? to
  return SPANS.find((minutes) => to - first <= minutes * MINUTE) ?? 60
}
