/** A line chart of the last hour, with a cursor for pointers and keys and a sentence for those who see neither. */
import { signal } from '@preact/signals'
import { useId, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { JournalEvent } from '../live/wire'
import { kind } from '../model/activity'
import { type Box, nearest, path, scale } from '../model/curve'
import { clock, span } from '../model/format'

export interface Series {
  name: string
  values: readonly (number | undefined)[]
  /** `main`, `second`, `bad` or `limit`. */
  look: 'main' | 'second' | 'bad' | 'limit'
  /** A value holds until the next. */
  steps?: boolean
}

interface Props {
  title: string
  times: readonly number[]
  series: Series[]
  show: (value: number) => string
  /** The axis reaches at least so far. */
  least?: number
  marks: readonly JournalEvent[]
  from: number
  to: number
}

/** The time under the cursor: charts of a page share it. */
const cursor = signal<number | undefined>(undefined)

const HEIGHT = 150
const EDGE = { left: 46, right: 8, top: 10, bottom: 20 }

export function Chart({ title, times, series, show, least, marks, from, to }: Props) {
  const frame = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(600)
  const id = useId()
  useLayoutEffect(() => {
    const element = frame.current
    if (!element) return
    const observer = new ResizeObserver(
      ([entry]) => entry && setWidth(Math.max(200, Math.round(entry.contentRect.width))),
    )
    observer.observe(element)
    return () => observer.disconnect()
  }, [])
  const box: Box = {
    left: EDGE.left,
    top: EDGE.top,
    width: width - EDGE.left - EDGE.right,
    height: HEIGHT - EDGE.top - EDGE.bottom,
  }
  const drawn = useMemo(() => {
    const most = Math.max(0, ...series.flatMap((line) => line.values.map((value) => value ?? 0)))
    const axis = scale(most, least)
    return { axis, paths: series.map((line) => path(times, line.values, from, to, axis.top, box, line.steps)) }
  }, [times, series, from, to, width, least])
  const x = (time: number) => box.left + ((time - from) / (to - from)) * box.width
  const y = (value: number) => box.top + box.height - (value / drawn.axis.top) * box.height
  const at = cursor.value === undefined ? -1 : nearest(times, cursor.value)
  const shown = at < 0 ? times.length - 1 : at
  const said =
    shown < 0 ? 'no data yet' : series.map((line) => `${line.name} ${told(line.values[shown], show)}`).join(', ')

  const point = (event: PointerEvent) => {
    const left = frame.current?.getBoundingClientRect().left ?? 0
    cursor.value = from + ((event.clientX - left - box.left) / box.width) * (to - from)
  }
  const key = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key]
    if (event.key === 'Escape') cursor.value = undefined
    else if (event.key === 'Home') cursor.value = times[0]
    else if (event.key === 'End') cursor.value = times[times.length - 1]
    else if (step !== undefined) cursor.value = times[Math.max(0, Math.min(shown + step, times.length - 1))]
    else return
    event.preventDefault()
  }
  return (
    <figure class="chart">
      <figcaption id={id}>
        <b>{title}</b>
        <span class="legend">
          {series.map((line) => (
            <span key={line.name}>
              <i class={line.look} aria-hidden="true" />
              {line.name} <b>{shown < 0 ? '–' : told(line.values[shown], show)}</b>
            </span>
          ))}
        </span>
        <time>{at < 0 ? 'now' : clock(times[at] as number)}</time>
      </figcaption>
      <div
        ref={frame}
        class="plot"
        tabIndex={0}
        role="slider"
        aria-labelledby={id}
        aria-valuemin={0}
        aria-valuemax={Math.max(times.length - 1, 0)}
        aria-valuenow={Math.max(shown, 0)}
        aria-valuetext={`${shown < 0 ? '' : clock(times[shown] as number)}: ${said}`}
        onPointerMove={point}
        onPointerLeave={() => (cursor.value = undefined)}
        onBlur={() => (cursor.value = undefined)}
        onKeyDown={key}
      >
        <svg width={width} height={HEIGHT} aria-hidden="true">
          {drawn.axis.ticks.map((tick) => (
            <g key={tick} class="tick">
              <line x1={box.left} x2={box.left + box.width} y1={y(tick)} y2={y(tick)} />
              <text x={box.left - 6} y={y(tick) + 4} text-anchor="end">
                {show(tick)}
              </text>
            </g>
          ))}
          {[0, 0.25, 0.5, 0.75].map((part) => (
            <text
              key={part}
              class="when"
              x={x(to - part * (to - from))}
              y={HEIGHT - 4}
              text-anchor={part === 0 ? 'end' : 'middle'}
            >
              {part === 0 ? 'now' : `−${span(part * (to - from))}`}
            </text>
          ))}
          {marks
            .filter((event) => event.time >= from && event.time <= to)
            .map((event) => (
              <g key={`${event.nodeId}/${event.sequence}`} class={`event ${kind(event).tone}`}>
                <line x1={x(event.time)} x2={x(event.time)} y1={box.top} y2={box.top + box.height} />
                <circle cx={x(event.time)} cy={box.top} r="3.5">
                  <title>{`${clock(event.time)} ${event.message}`}</title>
                </circle>
              </g>
            ))}
          {series.map((line, i) => (
            <path key={line.name} class={`line ${line.look}`} d={drawn.paths[i]} />
          ))}
          {at >= 0 && (
            <line
              class="cursor"
              x1={x(times[at] as number)}
              x2={x(times[at] as number)}
              y1={box.top}
              y2={box.top + box.height}
            />
          )}
        </svg>
      </div>
    </figure>
  )
}

const told = (value: number | undefined, show: (value: number) => string) => (value === undefined ? '–' : show(value))
