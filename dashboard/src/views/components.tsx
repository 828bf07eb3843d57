/** All components in one table: how much each is asked for and how it copes. */
import { useRef } from 'preact/hooks'
import { projects, rows, SPARK_SLOTS, trace, traced } from '../derived'
import { spark } from '../model/curve'
import { count, millis, percent, rate, short } from '../model/format'
import { query, setQuery } from '../model/route'
import { type Column, filtered, type Health, rollout, type Row, sorted } from '../model/rows'
import { Badge, Dot, Empty, Filter, Select, type Tone } from '../parts/basics'
import { memo } from '../parts/memo'
import { useNarrow, useWindow } from '../parts/window'

/** As the style sheet says: a line of a table, on a phone a card. */
const ROW_HEIGHT = 48
const CARD_HEIGHT = 122

const COLUMNS: { column: Column; title: string; hint: string; number?: boolean }[] = [
  { column: 'name', title: 'Component', hint: 'name and version' },
  { column: 'health', title: 'State', hint: 'what it does now' },
  { column: 'instances', title: 'Instances', hint: 'running of wanted; allowed from–to', number: true },
  { column: 'rate', title: 'Req/s', hint: 'requests per second over the cluster', number: true },
  {
    column: 'concurrency',
    title: 'Concurrency',
    hint: 'requests in flight of what the instances take at once; the mark is where it scales up',
  },
  { column: 'p50', title: 'p50', hint: 'half of the requests took no longer; about', number: true },
  { column: 'p99', title: 'p99', hint: '99 % of the requests took no longer; about', number: true },
  { column: 'errors', title: 'Errors', hint: 'answers of 500 and above', number: true },
  { column: 'queue', title: 'Queue', hint: 'requests that wait for an instance', number: true },
]

export const HEALTH: Record<Health, { tone: Tone; label: string }> = {
  serving: { tone: 'good', label: 'serving' },
  idle: { tone: 'plain', label: 'scaled to zero' },
  starting: { tone: 'busy', label: 'starting' },
  deploying: { tone: 'busy', label: 'deploying' },
  overloaded: { tone: 'warn', label: 'overloaded' },
  failing: { tone: 'bad', label: "can't start" },
}

export function ComponentsView() {
  const column = (query('sort').replace('-', '') || 'name') as Column
  const down = query('sort').startsWith('-')
  const project = query('project')
  const shown = sorted(filtered(rows.value, query('q'), project), { column, down })
  const body = useRef<HTMLTableSectionElement>(null)
  const height = useNarrow() ? CARD_HEIGHT : ROW_HEIGHT
  const { from, to } = useWindow(body, shown.length, height)
  const sortBy = (wanted: Column) => {
    // Numbers are looked at from the highest on, names from the first.
    const first = wanted === 'name' || wanted === 'health' ? wanted : `-${wanted}`
    const second = first.startsWith('-') ? wanted : `-${wanted}`
    const current = `${down ? '-' : ''}${column}`
    setQuery('sort', current === first ? second : first)
  }
  return (
    <>
      <header class="bar">
        <h1>
          Components{' '}
          <small>{shown.length === rows.value.length ? shown.length : `${shown.length} of ${rows.value.length}`}</small>
        </h1>
        <Filter label="Filter components" value={query('q')} set={(words) => setQuery('q', words)} />
        <Select
          label="Project"
          value={project}
          set={(value) => setQuery('project', value)}
          options={[['', 'All projects'], ...projects.value.map((name): [string, string] => [name, name])]}
        />
      </header>
      {shown.length === 0 ? (
        <Nothing any={rows.value.length > 0} />
      ) : (
        <table class="components" aria-rowcount={shown.length + 1}>
          <thead>
            <tr>
              {COLUMNS.map(({ column: own, title, hint, number }) => (
                <th
                  key={own}
                  class={`${own} ${number ? 'number' : ''}`}
                  aria-sort={own !== column ? 'none' : down ? 'descending' : 'ascending'}
                >
                  <button type="button" title={hint} onClick={() => sortBy(own)}>
                    {title}
                    <span aria-hidden="true">{own !== column ? '' : down ? ' ↓' : ' ↑'}</span>
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody ref={body}>
            {from > 0 && <Gap height={from * height} />}
            {shown.slice(from, to).map((row, i) => (
              <ComponentRow key={row.name} row={row} index={from + i + 2} traced={traced.value} />
            ))}
            {to < shown.length && <Gap height={(shown.length - to) * height} />}
          </tbody>
        </table>
      )}
    </>
  )
}

function Nothing({ any }: { any: boolean }) {
  if (any) {
    return (
      <Empty title="No component matches">
        <p>Clear the filter to see all of them.</p>
      </Empty>
    )
  }
  return (
    <Empty title="No components yet">
      <p>
        Put a project and its components stand here at once: <code>maelctl project init</code>, then{' '}
        <code>maelctl project put</code>.
      </p>
    </Empty>
  )
}

function Gap({ height }: { height: number }) {
  return (
    <tr class="gap" aria-hidden="true">
      <td colSpan={COLUMNS.length} style={{ height: `${height}px` }} />
    </tr>
  )
}

const ComponentRow = memo(function ComponentRow({ row, index }: { row: Row; index: number; traced: number }) {
  const { component, load } = row
  const { tone, label } = HEALTH[row.health]
  const progress = rollout(row)
  const failed = load.requestsPerSecond > 0 ? load.errorsPerSecond / load.requestsPerSecond : 0
  return (
    <tr aria-rowindex={index}>
      <th scope="row" class="name">
        <a href={`#/components/${encodeURIComponent(row.name)}`}>
          <Dot name={row.name} />
          {component.projectName && <span class="project">{component.projectName} / </span>}
          {short(row.name, component.projectName)}
        </a>
        <small title={component.image}>v{component.version}</small>
      </th>
      <td class="health">
        <Badge tone={tone} {...(row.failure ? { title: row.failure.reason } : {})}>
          {progress ? `${progress.done} of ${progress.all} on v${component.version}` : label}
        </Badge>
      </td>
      <td class="instances number" data-label="Instances">
        <b>{row.active}</b>
        {row.target !== row.active && <span> of {row.target}</span>} <small>{limits(row)}</small>
      </td>
      <td class="rate number" data-label="Req/s">
        <svg class="spark" viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">
          <polyline points={spark(trace(row.name), SPARK_SLOTS)} />
        </svg>
        <b>{rate(load.requestsPerSecond)}</b>
      </td>
      <td class="concurrency" data-label="Concurrency">
        <Concurrency row={row} />
      </td>
      <td class="p50 number" data-label="p50">
        {millis(load.p50)}
      </td>
      <td class="p99 number" data-label="p99">
        {millis(load.p99)}
      </td>
      <td class={`errors number ${failed >= 0.1 ? 'bad' : failed > 0 ? 'warn' : ''}`} data-label="Errors">
        {percent(load.errorsPerSecond, load.requestsPerSecond)}
      </td>
      <td class={`queue number ${load.waiting > 0 ? 'warn' : ''}`} data-label="Queue">
        {count(load.waiting)}
      </td>
    </tr>
  )
})

export function limits(row: Row): string {
  const { minInstances, maxInstances } = row.component
  if (minInstances === maxInstances) return `fixed ${minInstances}`
  return maxInstances === undefined ? `${minInstances}–∞` : `${minInstances}–${maxInstances}`
}

/** How full the instances are, with the mark where more are started. */
export function Concurrency({ row }: { row: Row }) {
  const { load, capacity, component } = row
  if (capacity === 0)
    return <span class="meter-text none">{load.inFlight > 0 ? `${load.inFlight} in flight` : '–'}</span>
  const full = Math.min(load.inFlight / capacity, 1)
  const threshold = component.scaleUpPct / 100
  const tone = full >= 1 ? 'bad' : full >= threshold ? 'warn' : ''
  return (
    <>
      <span class={`meter ${tone}`} aria-hidden="true">
        <i style={{ width: `${full * 100}%` }} />
        <u style={{ left: `${Math.min(threshold, 1) * 100}%` }} />
      </span>
      <span class="meter-text">
        {load.inFlight} / {capacity}
      </span>
    </>
  )
}
