/** What turns outside events into requests: where it leads, when it is due, and the switch. */
import { signal } from '@preact/signals'
import { useState } from 'preact/hooks'
import { now, cluster, tick } from '../live/feed'
import { call } from '../live/rpc'
import { access } from '../live/session'
import type { Source } from '../live/wire'
import { at, moment, until } from '../model/format'
import { query, setQuery } from '../model/route'
import { chosenSources, kindOf, KIND_NAMES, type SourceKind } from '../model/sources'
import { Ago, ComponentLink, Empty, Failure, Filter, Mark, Select } from '../parts/basics'
import { memo } from '../parts/memo'
import { Work } from './work'

/** Each of them may count down. */
const PAGE = 50

export function SourcesView() {
  const [pages, setPages] = useState(1)
  const all = [...cluster.sources.value.values()]
  const type = query('type') as SourceKind | ''
  const found = chosenSources(all, query('q'), type)
  const shown = found.slice(0, pages * PAGE)
  return (
    <>
      <header class="bar">
        <h1>
          Event sources <small>{found.length === all.length ? all.length : `${found.length} of ${all.length}`}</small>
        </h1>
        <Filter label="Filter event sources" value={query('q')} set={(words) => setQuery('q', words)} />
        <Select
          label="Type"
          value={type}
          set={(value) => setQuery('type', value)}
          options={[['', 'All types'], ...(Object.entries(KIND_NAMES) as [SourceKind, string][])]}
        />
      </header>
      {shown.length === 0 ? (
        <Empty title={all.length ? 'No event source matches' : 'No event sources yet'}>
          <p>
            {all.length
              ? 'Clear the filter to see all of them.'
              : 'Give a component eventsources in its project file: an http path, a cron schedule, a queue.'}
          </p>
        </Empty>
      ) : (
        <SourceList sources={shown} owner />
      )}
      {found.length > shown.length && (
        <button type="button" class="more" onClick={() => setPages(pages + 1)}>
          Show {Math.min(PAGE, found.length - shown.length)} more
        </button>
      )}
    </>
  )
}

/** `owner`: says whose they are. */
export function SourceList({ sources, owner }: { sources: readonly Source[]; owner: boolean }) {
  return (
    <ul class="sources">
      {sources.map((source) => (
        <SourceItem key={source.name} source={source} owner={owner} />
      ))}
    </ul>
  )
}

const SourceItem = memo(function SourceItem({ source, owner }: { source: Source; owner: boolean }) {
  const kind = kindOf(source)
  return (
    <li class={source.enabled ? 'source' : 'source off'}>
      <span class={`type ${kind}`}>{KIND_NAMES[kind]}</span>
      <div class="about">
        <h3>{source.name}</h3>
        <p class="target">
          <Trigger source={source} />
          {owner && (
            <>
              {' → '}
              <ComponentLink name={source.componentName} />
            </>
          )}
        </p>
      </div>
      <div class="facts">
        {source.next && source.enabled && <Next times={source.next} />}
        {(source.sqs || source.awsstepfunc) && source.enabled && <Work name={source.name} />}
        {source.last && (
          <p class={`last ${source.last.ok ? 'good' : 'bad'}`}>
            <Mark tone={source.last.ok ? 'good' : 'bad'} />
            {source.last.message}, <Ago time={source.last.time} />
          </p>
        )}
      </div>
      <Switch source={source} />
    </li>
  )
})

function Trigger({ source }: { source: Source }) {
  const { http, cron, sqs, awsstepfunc } = source
  if (http) {
    return (
      <code>
        {http.hostname ?? '*'}
        {http.pathPrefix ?? '/'}
        {http.stripPrefix && <small> prefix removed</small>}
      </code>
    )
  }
  if (cron) {
    return (
      <>
        <code>{cron.schedule}</code> <small>{`${cron.http.method} ${cron.http.path}`}</small>
      </>
    )
  }
  if (sqs) {
    return (
      <>
        <code>{`${sqs.queueName}${sqs.nameAsPrefix ? '*' : ''}`}</code>{' '}
        <small>{`POST ${sqs.path}${sqs.batch ? ', in batches' : ''}`}</small>
      </>
    )
  }
  return (
    <>
      <code>{awsstepfunc?.activityName ?? '?'}</code> <small>{`POST ${awsstepfunc?.path ?? ''}`}</small>
    </>
  )
}

function Next({ times }: { times: number[] }) {
  tick.value
  const coming = times.filter((time) => time > now() - 1_000)
  if (coming.length === 0) return null
  const [first, ...later] = coming as [number, ...number[]]
  return (
    <p title={coming.map(moment).join('\n')}>
      next <b>{until(first, now())}</b>
      {later.length > 0 && <small> then {later.map((time) => at(time, now())).join(', ')}</small>}
    </p>
  )
}

/** What the operator asked for and the cluster has not confirmed. */
const pending = signal<ReadonlyMap<string, boolean>>(new Map())

/** The cluster's own word counts: the switch moves when the stream tells the change. */
function Switch({ source }: { source: Source }) {
  const [error, setError] = useState('')
  const asked = pending.value.get(source.name)
  const readonly = access.value === 'read'
  const waits = asked !== undefined && asked !== source.enabled
  const toggle = async () => {
    const enabled = !source.enabled
    set(source.name, enabled)
    setError('')
    try {
      await call('MaelstromService.ToggleEventSources', { enabled, name: source.name })
    } catch (failure) {
      set(source.name, undefined)
      setError(failure instanceof Error ? failure.message : String(failure))
    }
  }
  return (
    <div class="act">
      <button
        type="button"
        role="switch"
        aria-checked={source.enabled}
        aria-busy={waits}
        disabled={waits || readonly}
        title={readonly ? 'Your token may look and change nothing' : undefined}
        aria-label={`${source.name} enabled`}
        class="switch"
        onClick={() => void toggle()}
      >
        <i aria-hidden="true" />
        <span>{waits ? 'changing' : source.enabled ? 'enabled' : 'disabled'}</span>
      </button>
      {error && <Failure what="Not changed:" error={error} />}
    </div>
  )
}

function set(name: string, enabled: boolean | undefined): void {
  const next = new Map(pending.value)
  if (enabled === undefined) next.delete(name)
  else next.set(name, enabled)
  pending.value = next
}
