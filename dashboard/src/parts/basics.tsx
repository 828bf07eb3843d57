/** Small parts that all views use. */
import type { ComponentChildren } from 'preact'
import { useRef } from 'preact/hooks'
import { now, slowTick, tick } from '../live/feed'
import { ago, hue, moment, span } from '../model/format'

export type Tone = 'good' | 'warn' | 'bad' | 'plain' | 'busy'

/** Told by shape and word, not by colour alone. */
const SHAPES: Record<Tone, string> = {
  good: 'M3.5 8.5l3 3 6-7',
  warn: 'M8 3v6M8 12.2v.3',
  bad: 'M4 4l8 8M12 4l-8 8',
  plain: 'M4 8h8',
  busy: 'M8 3a5 5 0 1 1-4.6 3',
}

export function Mark({ tone }: { tone: Tone }) {
  return (
    <svg class={`mark ${tone}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={SHAPES[tone]} />
    </svg>
  )
}

export function Badge({ tone, children, title }: { tone: Tone; children: ComponentChildren; title?: string }) {
  return (
    <span class={`badge ${tone}`} title={title}>
      <Mark tone={tone} />
      {children}
    </span>
  )
}

/** Draws its caller again when an age may read differently: seconds for a minute, then less often. */
function follow(time: number): void {
  if (now() - time < 60_000) tick.value
  else slowTick.value
}

/** How long ago, kept up to date by itself. */
export function Ago({ time }: { time: number }) {
  follow(time)
  return (
    <time dateTime={time > 0 ? new Date(time).toISOString() : undefined} title={time > 0 ? moment(time) : undefined}>
      {ago(time, now())}
    </time>
  )
}

/** For how long, kept up to date by itself. */
export function For({ time }: { time: number }) {
  follow(time)
  return (
    <time dateTime={new Date(time).toISOString()} title={`since ${moment(time)}`}>
      {span(now() - time)}
    </time>
  )
}

/** The component's own colour beside its name. */
export function Dot({ name }: { name: string }) {
  return <i class="dot" style={{ '--hue': hue(name) }} aria-hidden="true" />
}

export function ComponentLink({ name }: { name: string }) {
  return (
    <a class="component-link" href={`#/components/${encodeURIComponent(name)}`}>
      <Dot name={name} />
      {name}
    </a>
  )
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h3>{title}</h3>
      {children}
    </div>
  )
}

/** A number with its name. */
export function Figure({
  label,
  value,
  note,
  tone,
}: {
  label: string
  value: ComponentChildren
  note?: ComponentChildren
  tone?: Tone | undefined
}) {
  return (
    <div class={`figure ${tone ?? ''}`}>
      <dt>{label}</dt>
      <dd>
        <b>{value}</b>
        {note !== undefined && <small>{note}</small>}
      </dd>
    </div>
  )
}

export function Filter({ value, set, label }: { value: string; set: (value: string) => void; label: string }) {
  const field = useRef<HTMLInputElement>(null)
  const key = (event: KeyboardEvent) => {
    if (event.key !== 'Escape') return
    if (value) set('')
    else field.current?.blur()
  }
  return (
    <label class="filter">
      <span class="hidden">{label}</span>
      <input
        ref={field}
        type="search"
        placeholder={label}
        data-filter
        autocomplete="off"
        spellcheck={false}
        value={value}
        onInput={(event) => set(event.currentTarget.value)}
        onKeyDown={key}
      />
      <kbd aria-hidden="true">/</kbd>
    </label>
  )
}

export function Select<T extends string>({
  label,
  value,
  options,
  set,
}: {
  label: string
  value: T
  options: [T, string][]
  set: (value: T) => void
}) {
  return (
    <label class="select">
      <span class="hidden">{label}</span>
      <select value={value} onChange={(event) => set(event.currentTarget.value as T)}>
        {options.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </label>
  )
}

export function Failure({ what, error, again }: { what: string; error: string; again?: () => void }) {
  return (
    <div class="notice bad" role="alert">
      <Mark tone="bad" />
      <p>
        <b>{what}</b> {error}
      </p>
      {again && (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  )
}
