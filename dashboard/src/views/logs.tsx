/** What containers write, as it comes, from all nodes. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { now } from '../live/feed'
import { address, request } from '../live/session'
import type { LogLine } from '../live/wire'
import { clock, count, hue, moment } from '../model/format'
import { type Line, LineReader, Lines } from '../model/lines'
import { query, setQuery } from '../model/route'
import { visible } from '../model/window'
import { names } from '../derived'
import { Empty, Filter, Select } from '../parts/basics'

export function LogsView() {
  const component = query('component')
  return (
    <>
      <header class="bar">
        <h1>Logs</h1>
        <Select
          label="Component"
          value={component}
          set={(value) => setQuery('component', value)}
          options={[['', 'All components'], ...names.value.map((name): [string, string] => [name, name])]}
        />
      </header>
      <LogPanel components={component} key={component} tall />
    </>
  )
}

const LINE_HEIGHT = 20
/** The node writes a sign of life each second. */
const SILENCE = 7_000
const AGAIN = 2_000

/** `components`: one name, or empty for all. */
export function LogPanel({ components, tall }: { components: string; tall?: boolean }) {
  const [words, setWords] = useState('')
  const [paused, setPaused] = useState(false)
  const [chosen, setChosen] = useState<Line>()
  const [problem, setProblem] = useState('')
  const lines = useRef(new Lines())
  // Drawn at most once a frame, however fast lines come.
  const [, draw] = useState(0)
  const frame = useRef(0)
  const soon = () => (frame.current ||= requestAnimationFrame(() => ((frame.current = 0), draw((n) => n + 1))))
  // While it is paused only a number changes.
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  const later = () => {
    timer.current ??= setTimeout(() => ((timer.current = undefined), draw((n) => n + 1)), 500)
  }
  const held = useRef(paused)
  held.current = paused

  useEffect(() => {
    const stop = new AbortController()
    void follow(components, stop.signal, setProblem, (more, live) => {
      lines.current.add(more, live ? now() : 0)
      if (held.current) later()
      else soon()
    })
    return () => {
      stop.abort()
      cancelAnimationFrame(frame.current)
      clearTimeout(timer.current)
    }
  }, [components])

  const frozen = useRef<{ lines: Line[]; came: number } | undefined>(undefined)
  if (!paused) frozen.current = undefined
  else frozen.current ??= { lines: lines.current.all.slice(), came: lines.current.came }
  const shown = paused && frozen.current ? filter(frozen.current.lines, words) : lines.current.matching(words)
  const since = frozen.current ? lines.current.came - frozen.current.came : 0
  return (
    <div class={`logs ${tall ? 'tall' : ''}`}>
      <div class="tools">
        <Filter label="Filter lines" value={words} set={setWords} />
        <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
          {paused ? `Go on${since > 0 ? ` (${count(since)} new)` : ''}` : 'Pause'}
        </button>
        <button
          type="button"
          onClick={() => {
            lines.current.clear()
            frozen.current = paused ? { lines: [], came: lines.current.came } : undefined
            setChosen(undefined)
            soon()
          }}
        >
          Clear
        </button>
        <small>
          {count(shown.length)} lines{lines.current.dropped > 0 && `, ${count(lines.current.dropped)} older let go`}
        </small>
      </div>
      {problem && <p class="note warn">{problem}</p>}
      <LineList
        lines={shown}
        follow={!paused}
        many={components === ''}
        chosen={chosen}
        choose={setChosen}
        leave={() => setPaused(true)}
      />
      {chosen && <Detail line={chosen} close={() => setChosen(undefined)} />}
    </div>
  )
}

function filter(lines: readonly Line[], words: string): Line[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
  return lines.filter((line) =>
    wanted.every((word) => `${line.text} ${line.component} ${line.node}`.toLowerCase().includes(word)),
  )
}

interface ListProps {
  lines: readonly Line[]
  /** Stays at the newest line. */
  follow: boolean
  /** Of several components: each line says whose it is. */
  many: boolean
  chosen: Line | undefined
  choose: (line: Line) => void
  /** Scrolled away from the end. */
  leave: () => void
}

function LineList({ lines, follow, many, chosen, choose, leave }: ListProps) {
  const list = useRef<HTMLDivElement>(null)
  const [top, setTop] = useState(0)
  const height = list.current?.clientHeight ?? 400
  useEffect(() => {
    if (follow && list.current) list.current.scrollTop = list.current.scrollHeight
  })
  const scrolled = () => {
    const element = list.current
    if (!element) return
    setTop(element.scrollTop)
    const away = element.scrollHeight - element.scrollTop - element.clientHeight
    if (follow && away > LINE_HEIGHT * 3) leave()
  }
  const at = follow ? Math.max(0, lines.length * LINE_HEIGHT - height) : top
  const { from, to } = visible(at, height, LINE_HEIGHT, lines.length)
  if (lines.length === 0) {
    return (
      <div class="lines" ref={list}>
        <Empty title="No lines yet">
          <p>What containers write to stdout and stderr shows up here as it comes.</p>
        </Empty>
      </div>
    )
  }
  return (
    <div class="lines" ref={list} onScroll={scrolled} tabIndex={0} role="log" aria-live="off" aria-label="Log lines">
      <div class="all" style={{ height: `${lines.length * LINE_HEIGHT}px` }}>
        <div class="seen" style={{ transform: `translateY(${from * LINE_HEIGHT}px)` }}>
          {lines.slice(from, to).map((line) => (
            <p
              key={line.number}
              class={`line ${line.stderr ? 'stderr' : ''} ${line === chosen ? 'chosen' : ''}`}
              onClick={() => choose(line)}
            >
              <time title={line.time ? moment(line.time) : 'from before the page was opened'}>
                {line.time ? clock(line.time) : 'earlier '}
              </time>
              {many && (
                <b style={{ '--hue': hue(line.component) }} class="owner">
                  {line.component}
                </b>
              )}
              {line.stderr && <em>stderr</em>}
              <span>{line.text}</span>
            </p>
          ))}
        </div>
      </div>
    </div>
  )
}

/** A line as a whole, however long. */
function Detail({ line, close }: { line: Line; close: () => void }) {
  return (
    <aside class="detail" aria-label="The line">
      <header>
        <small>
          {`${line.component} on ${line.node}, ${line.stderr ? 'stderr' : 'stdout'}${line.time ? `, came ${moment(line.time)}` : ''}`}
        </small>
        <button type="button" onClick={() => void navigator.clipboard?.writeText(line.text)}>
          Copy
        </button>
        <button type="button" onClick={close}>
          Close
        </button>
      </header>
      <pre>{line.text}</pre>
    </aside>
  )
}

async function follow(
  components: string,
  stop: AbortSignal,
  problem: (text: string) => void,
  take: (lines: LogLine[], live: boolean) => void,
): Promise<void> {
  // The past once; after a break only what came since, so that nothing is shown twice.
  let since = '15m'
  while (!stop.aborted) {
    const watchdog = new AbortController()
    let timer = setTimeout(() => watchdog.abort(), SILENCE)
    let last = performance.now()
    try {
      const search = new URLSearchParams({ since, tail: '300', ...(components && { components }) })
      const response = await request(`${address.logs}?${search}`, { signal: AbortSignal.any([stop, watchdog.signal]) })
      if (!response.ok || !response.body) throw new Error(`the node answered ${response.status}`)
      problem('')
      const lines = new LineReader()
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      for (;;) {
        const { done, value } = await reader.read()
        if (done) break
        clearTimeout(timer)
        timer = setTimeout(() => watchdog.abort(), SILENCE)
        last = performance.now()
        const live = lines.live
        take(lines.push(value), live)
      }
      problem('The stream of lines ended: trying again.')
    } catch (error) {
      if (stop.aborted) return
      problem(`No lines come (${error instanceof Error ? error.message : String(error)}): trying again.`)
    } finally {
      clearTimeout(timer)
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN))
    since = `${Math.round(performance.now() - last)}ms`
  }
}
