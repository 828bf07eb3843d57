/** Which of many rows of one height are to be drawn: those in sight and some around them. */

export interface Range {
  from: number
  to: number
}

const AROUND = 8

/** `offset`: pixels of the list above the upper edge of what is seen. */
export function visible(offset: number, height: number, rowHeight: number, rows: number): Range {
  const first = Math.floor(offset / rowHeight) - AROUND
  const last = Math.ceil((offset + height) / rowHeight) + AROUND
  const from = Math.max(0, Math.min(first, rows))
  return { from, to: Math.max(from, Math.min(last, rows)) }
}
