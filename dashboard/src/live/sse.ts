/**
 * Server-sent events out of the pieces of a fetch: `EventSource` can't send an `Authorization` header.
 * Bounded: a server that sends one event without end is given up.
 */

export interface ServerEvent {
  event: string
  data: string
}

const MOST = 32 << 20

export class EventReader {
  #rest = ''
  #event = ''
  #data: string[] = []

  /** The events that `text` completes. */
  push(text: string): ServerEvent[] {
    const found: ServerEvent[] = []
    const input = this.#rest + text
    let from = 0
    for (;;) {
      const end = input.indexOf('\n', from)
      if (end < 0) break
      const line = input.slice(from, input[end - 1] === '\r' ? end - 1 : end)
      from = end + 1
      const event = this.#line(line)
      if (event) found.push(event)
    }
    this.#rest = input.slice(from)
    if (this.#rest.length > MOST) throw new Error('the node sends an event without end')
    return found
  }

  #line(line: string): ServerEvent | undefined {
    if (line === '') {
      const event = { event: this.#event || 'message', data: this.#data.join('\n') }
      const complete = this.#data.length > 0
      this.#event = ''
      this.#data = []
      return complete ? event : undefined
    }
    const colon = line.indexOf(':')
    // A comment: a sign of life.
    if (colon === 0) return undefined
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1))
    if (field === 'event') this.#event = value
    else if (field === 'data') this.#data.push(value)
    return undefined
  }
}
