/** From numbers to a chart's lines. */

export interface Scale {
  /** The top of the axis: round, and above all values. */
  top: number
  ticks: number[]
}

/** Two or three round steps from 0. */
export function scale(most: number, least = 1): Scale {
  const target = Math.max(most, least)
  const power = 10 ** Math.floor(Math.log10(target))
  const steps = [1, 2, 5, 10].map((step) => step * power)
  const step = (steps.find((candidate) => candidate * 2 >= target) ?? 10 * power) as number
  const ticks: number[] = []
  for (let value = 0; value < target + step; value += step) ticks.push(value)
  return { top: ticks[ticks.length - 1] as number, ticks }
}

export interface Box {
  left: number
  top: number
  width: number
  height: number
}

/** An SVG path; where a value is missing the line has a gap. `times` rise. `steps`: a value holds until the next. */
export function path(
  times: readonly number[],
  values: readonly (number | undefined)[],
  from: number,
  to: number,
  top: number,
  box: Box,
  steps = false,
): string {
  let text = ''
  let pen = false
  for (let i = 0; i < times.length; i++) {
    const value = values[i]
    if (value === undefined) {
      pen = false
      continue
    }
    const x = box.left + ((times[i] as number) - from) * (box.width / (to - from))
    const y = box.top + box.height - Math.min(value / top, 1) * box.height
    text += !pen
      ? `M${x.toFixed(1)} ${y.toFixed(1)}`
      : steps
        ? `H${x.toFixed(1)}V${y.toFixed(1)}`
        : `L${x.toFixed(1)} ${y.toFixed(1)}`
    // A point alone is a dot.
    if (!pen && values[i + 1] === undefined) text += 'h0.1'
    pen = true
  }
  return text
}

/** The index of the time nearest to `at`; -1: there is none. */
export function nearest(times: readonly number[], at: number): number {
  if (times.length === 0) return -1
  let low = 0
  let high = times.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if ((times[middle] as number) < at) low = middle + 1
    else high = middle
  }
  const before = low - 1
  return before >= 0 && at - (times[before] as number) < (times[low] as number) - at ? before : low
}

/** A sparkline's points in a box of 100 × 20. */
export function spark(values: readonly number[], slots: number): string {
  // Fewer are no trend yet.
  if (values.length < 5) return ''
  const most = Math.max(...values, 1e-9)
  const shift = slots - values.length
  return values
    .map((value, i) => `${(((i + shift) / (slots - 1)) * 100).toFixed(1)},${(19 - (value / most) * 17).toFixed(1)}`)
    .join(' ')
}
