/** Log lines: out of the pieces of a stream, and kept within bounds. */
import type { LogLine } from '../live/wire'

export interface Line {
  /** Rises by one per line: its name in the list. */
  number: number
  /** When it arrived here; 0: it is older than that. */
  time: number
  node: string
  component: string
  stderr: boolean
  text: string
}

/** What a page keeps: a few MB at most. */
export const KEPT = 5_000
/** A longer line is cut: nobody reads it here. */
const LONGEST = 4_000
const UNFINISHED = 8 << 20

/** One JSON object per line, and `PING` as a sign of life: at once and then each second. */
export class LineReader {
  #rest = ''
  #pings = 0

  /** What came within the stream's first second may be of the past: lines don't say when they were written. */
  get live(): boolean {
    return this.#pings > 1
  }

  push(text: string): LogLine[] {
    const parts = (this.#rest + text).split('\n')
    this.#rest = parts.pop() ?? ''
    if (this.#rest.length > UNFINISHED) throw new Error('the node sends a line without end')
    const found: LogLine[] = []
    for (const part of parts) {
      if (part.startsWith('PING')) this.#pings++
      if (!part.startsWith('{')) continue
      found.push(JSON.parse(part) as LogLine)
    }
    return found
  }
}

/** The newest lines, and how many were let go. */
export class Lines {
  #lines: Line[] = []
  #next = 1
  /** Lines that came and are not kept any more. */
  dropped = 0

  add(more: readonly LogLine[], time: number): void {
    for (const line of more) {
      const text = plain(line.Data)
      this.#lines.push({
        number: this.#next++,
        time,
        node: line.Node ?? '',
        component: line.Component,
        stderr: line.Stream === 'stderr',
        text: text.length > LONGEST ? `${text.slice(0, LONGEST)}… (${text.length - LONGEST} more)` : text,
      })
    }
    const over = this.#lines.length - KEPT
    if (over > 0) {
      this.#lines.splice(0, over)
      this.dropped += over
    }
  }

  clear(): void {
    this.#lines = []
    this.dropped = 0
  }

  /** Lines that came so far. */
  get came(): number {
    return this.#next - 1
  }

  get all(): readonly Line[] {
    return this.#lines
  }

  matching(words: string): Line[] {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
    if (wanted.length === 0) return this.#lines.slice()
    return this.#lines.filter((line) => {
      const text = `${line.text} ${line.component} ${line.node}`.toLowerCase()
      return wanted.every((word) => text.includes(word))
    })
  }
}

/** Without the colours and cursor moves of terminals. */
function plain(text: string): string {
  return text.replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, '').replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, '')
}
