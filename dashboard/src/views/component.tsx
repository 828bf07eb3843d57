/** One component: why it is as it is, how it went in the last hour, what runs, how it is configured. */
import { useEffect, useState } from 'preact/hooks'
import { byName } from '../derived'
import { heard, cluster } from '../live/feed'
import { call } from '../live/rpc'
import type { Explanation, Instance } from '../live/wire'
import { marks } from '../model/activity'
import { count, mib, millis, percent, plural, rate, span } from '../model/format'
import { rollout, type Row } from '../model/rows'
import { hidden } from '../model/yaml'
import { Ago, Badge, Dot, Empty, Failure, Figure, type Tone } from '../parts/basics'
import { memo } from '../parts/memo'
import { Timeline } from './activity'
import { stateOf } from './cluster'
import { HEALTH, limits } from './components'
import { Charts } from './history'
import { LogPanel } from './logs'
import { SourceList } from './sources'

const EVENTS = 15

export function ComponentView({ name }: { name: string }) {
  const row = byName.value.get(name)
  if (!row) {
    return (
      <Empty title={heard.value ? `There is no component ${name}` : 'Loading'}>
        <p>
          {heard.value ? 'It may have been removed, or be named otherwise. ' : ''}
          <a href="#/components">All components</a>
        </p>
      </Empty>
    )
  }
  const events = cluster.events.value.filter((event) => event.componentName === name)
  const sources = [...cluster.sources.value.values()].filter((source) => source.componentName === name)
  return (
    <>
      <p class="crumbs">
        <a href="#/components">Components</a> /{' '}
        {row.component.projectName && (
          <a href={`#/components?project=${encodeURIComponent(row.component.projectName)}`}>
            {row.component.projectName}
          </a>
        )}
      </p>
      <header class="bar component">
        <h1>
          <Dot name={name} />
          {name} <small>v{row.component.version}</small>
        </h1>
        <Badge tone={HEALTH[row.health].tone}>{HEALTH[row.health].label}</Badge>
        <nav class="inside" aria-label="On this page">
          {SECTIONS.map(([id, title]) => (
            <button
              key={id}
              type="button"
              onClick={() => document.getElementById(id)?.scrollIntoView({ behavior: 'smooth' })}
            >
              {title}
            </button>
          ))}
        </nav>
      </header>
      <Rollout row={row} />
      <Figures row={row} />
      <Why row={row} />
      <Charts name={name} row={row} marks={marks(cluster.events.value, name)} />
      <section aria-labelledby="instances">
        <h2 id="instances">
          Instances <small>{row.instances.length}</small>
        </h2>
        <Instances row={row} />
      </section>
      <section aria-labelledby="sources">
        <h2 id="sources">
          Event sources <small>{sources.length}</small>
        </h2>
        {sources.length === 0 ? (
          <Empty title="None: it is called by other components alone" />
        ) : (
          <SourceList sources={sources} owner={false} />
        )}
      </section>
      <section aria-labelledby="events">
        <h2 id="events">
          Activity <a href={`#/activity?q=${encodeURIComponent(name)}`}>all</a>
        </h2>
        {events.length === 0 ? (
          <Empty title="Nothing has happened to it lately" />
        ) : (
          <Timeline events={events.slice(-EVENTS).reverse()} />
        )}
      </section>
      <section aria-labelledby="logs">
        <h2 id="logs">Logs</h2>
        <LogPanel components={name} key={name} />
      </section>
      <section aria-labelledby="configuration">
        <h2 id="configuration">Configuration</h2>
        <Configuration name={name} version={row.component.version} />
      </section>
    </>
  )
}

const SECTIONS = [
  ['charts', 'Charts'],
  ['instances', 'Instances'],
  ['events', 'Activity'],
  ['logs', 'Logs'],
  ['configuration', 'YAML'],
] as const

function Rollout({ row }: { row: Row }) {
  const progress = rollout(row)
  if (!progress) return null
  return (
    <div class="rollout" role="status">
      <p>
        <b>Deploy of version {row.component.version}</b> {progress.done} of {plural(progress.all, 'instance')} replaced
      </p>
      <progress max={progress.all} value={progress.done} aria-label="Deploy" />
    </div>
  )
}

function Figures({ row }: { row: Row }) {
  const { load, component } = row
  const failing = load.requestsPerSecond > 0 ? load.errorsPerSecond / load.requestsPerSecond : 0
  const memory = row.instances.reduce((sum, instance) => sum + instance.memoryReservedMiB, 0)
  return (
    <dl class="figures">
      <Figure label="Requests" value={rate(load.requestsPerSecond)} note="per second" />
      <Figure
        label="Errors"
        value={percent(load.errorsPerSecond, load.requestsPerSecond)}
        note="of answers"
        tone={failing >= 0.1 ? 'bad' : failing >= 0.01 ? 'warn' : undefined}
      />
      <Figure label="Latency" value={millis(load.p50)} note={`half; 99 %: ${millis(load.p99)}`} />
      <Figure
        label="In flight"
        value={count(load.inFlight)}
        note={row.capacity ? `of ${row.capacity} at once` : 'no instance'}
      />
      <Figure
        label="Queue"
        value={count(load.waiting)}
        note={load.waiting ? `first for ${span(load.waitingForMillis)}` : 'none waits'}
        tone={load.waiting ? 'warn' : undefined}
      />
      <Figure label="Instances" value={`${row.active} of ${row.target}`} note={`allowed ${limits(row)}`} />
      <Figure label="Memory" value={mib(memory)} note={`${mib(component.reserveMemoryMiB)} each`} />
    </dl>
  )
}

/** Asked for again when what is wanted changes. */
function Why({ row }: { row: Row }) {
  const [told, setTold] = useState<Explanation>()
  useEffect(() => {
    let gone = false
    call<Explanation>('MaelstromService.ExplainComponent', { name: row.name }).then(
      (explanation) => !gone && setTold(explanation),
      // The page says all else without it.
      () => !gone && setTold(undefined),
    )
    return () => {
      gone = true
    }
  }, [row.name, row.target, row.active, row.component.version, row.failure?.reason])
  const failure = row.failure?.reason ?? told?.lastFailure
  if (!failure && !told?.targetReasons.length) return null
  return (
    <section class="why" aria-label="Why">
      {failure && (
        <div class="notice bad">
          <p>
            <b>It can't be started:</b> {failure}
          </p>
        </div>
      )}
      {told && told.targetReasons.length > 0 && (
        <p>
          <b>{plural(told.targetInstances, 'instance')} wanted:</b> {told.targetReasons.join('; ')}
        </p>
      )}
    </section>
  )
}

const STATES: Record<string, Tone> = {
  active: 'good',
  suspect: 'warn',
  starting: 'busy',
  stopping: 'busy',
  standby: 'plain',
  unreachable: 'bad',
}

function Instances({ row }: { row: Row }) {
  if (row.instances.length === 0) {
    return (
      <Empty title="None runs">
        <p>
          {row.component.minInstances === 0
            ? 'It is scaled to zero: the first request starts one.'
            : 'It is being started.'}
        </p>
      </Empty>
    )
  }
  return (
    <table class="instances">
      <thead>
        <tr>
          <th>Node</th>
          <th>State</th>
          <th class="number">Version</th>
          <th class="number">In flight</th>
          <th class="number">Req/s</th>
          <th class="number">Memory</th>
          <th>Started</th>
          <th>Last request</th>
          <th>Container</th>
        </tr>
      </thead>
      <tbody>
        {row.instances.map((instance) => (
          <InstanceRow
            key={`${instance.nodeId}/${instance.instanceId ?? instance.startTime}`}
            instance={instance}
            current={row.component.version}
            lost={cluster.nodes.value.get(instance.nodeId)?.unreachableSince !== undefined}
          />
        ))}
      </tbody>
    </table>
  )
}

const InstanceRow = memo(function InstanceRow({
  instance,
  current,
  lost,
}: {
  instance: Instance
  current: number
  lost: boolean
}) {
  const state = lost ? 'unreachable' : stateOf(instance)
  return (
    <tr>
      <th scope="row">{instance.nodeId}</th>
      <td>
        <Badge tone={STATES[state] ?? 'plain'}>{state}</Badge>
      </td>
      <td class="number" data-label="Version">
        {instance.componentVersion}
        {instance.componentVersion !== current && <small> old</small>}
      </td>
      <td class="number" data-label="In flight">
        {instance.inFlight} / {instance.maxConcurrency}
      </td>
      <td class="number" data-label="Req/s">
        {rate(instance.requestsPerSecond)}
      </td>
      <td class="number" data-label="Memory">
        {mib(instance.memoryReservedMiB)}
      </td>
      <td data-label="Started">
        <Ago time={instance.startTime} />
      </td>
      <td data-label="Last request">
        <Ago time={instance.lastRequestTime} />
      </td>
      <td data-label="Container">
        <code title={instance.instanceId}>{instance.instanceId?.slice(0, 12) ?? '–'}</code>{' '}
        <small>{instance.address}</small>
      </td>
    </tr>
  )
})

function Configuration({ name, version }: { name: string; version: number }) {
  const [yaml, setYaml] = useState('')
  const [error, setError] = useState('')
  const [open, setOpen] = useState(false)
  const load = () => {
    call<{ yaml: string }>('MaelstromService.DescribeComponent', { name }).then(
      (told) => (setYaml(told.yaml), setError('')),
      (failure: Error) => setError(failure.message),
    )
  }
  useEffect(load, [name, version])
  if (error) return <Failure what="The configuration can't be shown:" error={error} again={load} />
  return (
    <div class="yaml">
      <div class="tools">
        <button type="button" aria-pressed={open} onClick={() => setOpen(!open)}>
          {open ? 'Hide values' : 'Show values'}
        </button>
        <small>as it stands in a project file; values of the environment are hidden until asked for</small>
      </div>
      <pre tabIndex={0}>{open ? yaml : hidden(yaml)}</pre>
    </div>
  )
}
