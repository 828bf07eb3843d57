/** The one stream: keeps it open, applies what comes, and knows how old the data is. */
import { batch, computed, signal } from '@preact/signals'
import { EventReader } from './sse'
import { address, request, wanted } from './session'
import { apply, NOTHING, type State } from './state'
import type { Change } from './wire'

/** The node sends something every other second. */
const SILENCE = 7_000
const AGAIN_FIRST = 500
const AGAIN_MOST = 5_000
/** A page that nobody sees for so long needs no data. */
const HIDDEN = 60_000

export type Link = 'connecting' | 'live' | 'lost' | 'resting'

export const state = signal<State>(NOTHING)
export const link = signal<Link>('connecting')
/** Why there is no stream. */
export const trouble = signal('')
/** When something came last, by this browser's monotonic clock; 0: never. */
export const heard = signal(0)
/** Parts of it: who shows one is drawn again when that one changes. */
export const cluster = {
  node: computed(() => state.value.node),
  version: computed(() => state.value.version),
  time: computed(() => state.value.time),
  nodes: computed(() => state.value.nodes),
  instances: computed(() => state.value.instances),
  components: computed(() => state.value.components),
  loads: computed(() => state.value.loads),
  sources: computed(() => state.value.sources),
  events: computed(() => state.value.events),
  missing: computed(() => state.value.missing),
}
/** Rises once a second while the page is seen; read by what shows short ages. */
export const tick = signal(0)
/** The same for longer ones. */
export const slowTick = signal(0)
const SLOW = 15

/** The node's clock minus this browser's. */
let ahead = 0

/** Now, by the node's clock. */
export const now = () => Date.now() + ahead

/** Age of the data in ms; 0 before there is any. */
export const age = () => (heard.value === 0 ? 0 : performance.now() - heard.value)

export function start(): void {
  let stop = new AbortController()
  let hidden: ReturnType<typeof setTimeout> | undefined
  const connect = () => {
    stop = new AbortController()
    void keep(stop.signal)
  }
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hidden)
    if (document.hidden) {
      hidden = setTimeout(() => {
        stop.abort()
        link.value = 'resting'
      }, HIDDEN)
    } else if (stop.signal.aborted && wanted.peek() !== 'left') {
      connect()
    }
  })
  // Entered anew: not only with the next try.
  wanted.subscribe((why) => {
    if (why === 'left') {
      stop.abort()
      forget()
    } else if (why === undefined && (link.peek() === 'lost' || stop.signal.aborted)) {
      stop.abort()
      connect()
    }
  })
  setInterval(() => {
    if (document.hidden) return
    tick.value++
    if (tick.value % SLOW === 0) slowTick.value++
  }, 1_000)
  connect()
}

/** Nothing of what was told is there for whoever comes next. */
function forget(): void {
  batch(() => {
    state.value = NOTHING
    heard.value = 0
    link.value = 'connecting'
    trouble.value = ''
  })
}

async function keep(stop: AbortSignal): Promise<void> {
  let pause = AGAIN_FIRST
  while (!stop.aborted) {
    const began = performance.now()
    try {
      await read(stop)
      trouble.value = 'the node ended the stream'
    } catch (error) {
      if (stop.aborted) return
      trouble.value = error instanceof Error ? error.message : String(error)
    }
    link.value = 'lost'
    if (performance.now() - began > SILENCE) pause = AGAIN_FIRST
    // Not all pages at the same moment when a node comes back.
    await sleep(pause * (0.75 + Math.random() / 2), stop)
    pause = Math.min(pause * 2, AGAIN_MOST)
  }
}

async function read(stop: AbortSignal): Promise<void> {
  const watchdog = new AbortController()
  const either = AbortSignal.any([stop, watchdog.signal])
  const bark = () => watchdog.abort(new Error(`nothing came for ${SILENCE / 1_000} s`))
  let timer = setTimeout(bark, SILENCE)
  try {
    const response = await request(address.live, { headers: { Accept: 'text/event-stream' }, signal: either })
    if (!response.ok || !response.body)
      throw new Error(`the node answered ${response.status}: ${(await response.text()).trim()}`)
    const events = new EventReader()
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      clearTimeout(timer)
      timer = setTimeout(bark, SILENCE)
      for (const event of events.push(value)) take(event.event, JSON.parse(event.data) as Change)
    }
  } catch (error) {
    throw watchdog.signal.aborted && !stop.aborted ? watchdog.signal.reason : error
  } finally {
    clearTimeout(timer)
    watchdog.abort()
  }
}

function take(event: string, change: Change): void {
  if (event !== 'snapshot' && event !== 'change') return
  batch(() => {
    // What an earlier stream told of events is not lost with it.
    const base = event === 'snapshot' ? { ...NOTHING, events: state.value.events } : state.value
    state.value = apply(base, change)
    heard.value = performance.now()
    link.value = 'live'
    trouble.value = ''
    ahead = change.time - Date.now()
  })
}

function sleep(millis: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, millis)
    stop.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
  })
}
