/** The whole cluster at a glance: is it well, how much is asked of it, what runs where. */
import { memo } from '../parts/memo'
import { Badge, Empty, Figure, For, Mark, type Tone } from '../parts/basics'
import { byNode, judged, rows, totals } from '../derived'
import { cluster } from '../live/feed'
import type { Instance, Node } from '../live/wire'
import { isTelling } from '../model/activity'
import { hue, mib, millis, percent, plural, rate } from '../model/format'
import type { Problem, Verdict } from '../model/verdict'
import { EventItem } from './activity'

/** With more nodes than this a node is drawn smaller. */
const MANY = 12
const PROBLEMS_SHOWN = 6
const LATEST = 8

export function ClusterView() {
  const nodes = [...cluster.nodes.value.values()].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1))
  const many = nodes.length > MANY
  return (
    <>
      <h1 class="hidden">Cluster</h1>
      <Headline verdict={judged.value} />
      <Figures />
      <div class="columns">
        <section aria-labelledby="nodes">
          <h2 id="nodes">
            Nodes <small>{nodes.length}</small>
            <span class="key" aria-hidden="true">
              <i class="swatch reserved" /> reserved by an instance, one colour per component <i class="swatch free" />{' '}
              free
            </span>
          </h2>
          <div class={many ? 'nodes many' : 'nodes'}>
            {nodes.map((node) => (
              <NodeCard
                key={node.nodeId}
                node={node}
                instances={byNode.value.get(node.nodeId) ?? NONE}
                small={many}
                here={node.nodeId === cluster.node.value}
              />
            ))}
          </div>
        </section>
        <Latest />
      </div>
    </>
  )
}

const NONE: readonly Instance[] = []
const TONES: Record<Verdict['level'], Tone> = { good: 'good', warn: 'warn', bad: 'bad', empty: 'plain' }

function Headline({ verdict }: { verdict: Verdict }) {
  const more = verdict.problems.length - PROBLEMS_SHOWN
  return (
    <section class={`headline ${verdict.level}`} aria-label="State of the cluster">
      <div class="said" role="status">
        <Mark tone={TONES[verdict.level]} />
        <p>
          <b>{verdict.headline}</b>
          <span>{verdict.detail}</span>
        </p>
      </div>
      {verdict.problems.length > 0 && (
        <ul class="problems">
          {verdict.problems.slice(0, PROBLEMS_SHOWN).map((problem) => (
            <ProblemItem key={problem.text} problem={problem} />
          ))}
          {more > 0 && <li class="more">and {more} more</li>}
        </ul>
      )}
      {verdict.level === 'empty' && (
        <p class="next">
          Write a project file and put it: <code>maelctl project init</code>, then <code>maelctl project put</code>.
          What you put shows up here at once.
        </p>
      )}
    </section>
  )
}

function ProblemItem({ problem }: { problem: Problem }) {
  return (
    <li class={problem.level}>
      <Mark tone={problem.level} />
      <p>
        <a href={problem.href}>{problem.text}</a> <span>{problem.detail}</span>
      </p>
    </li>
  )
}

function Figures() {
  const sum = totals.value
  const failing = sum.requestsPerSecond > 0 ? sum.errorsPerSecond / sum.requestsPerSecond : 0
  const reserved = sum.totalMiB - sum.freeMiB
  const active = rows.value.reduce((all, row) => all + row.active, 0)
  const starting = rows.value.reduce((all, row) => all + row.starting, 0)
  return (
    <dl class="figures">
      <Figure label="Requests" value={rate(sum.requestsPerSecond)} note="per second" />
      <Figure
        label="Errors"
        value={percent(sum.errorsPerSecond, sum.requestsPerSecond)}
        note="of answers"
        tone={failing >= 0.1 ? 'bad' : failing >= 0.01 ? 'warn' : undefined}
      />
      <Figure label="Slowest p99" value={millis(sum.slowest?.p99)} note={sum.slowest?.name ?? 'no requests'} />
      <Figure
        label="In flight"
        value={sum.inFlight}
        note={sum.waiting > 0 ? `${sum.waiting} waiting` : 'none waits'}
        tone={sum.waiting > 0 ? 'warn' : undefined}
      />
      <Figure
        label="Instances"
        value={active}
        note={starting > 0 ? `${starting} starting` : plural(rows.value.length, 'component')}
      />
      <Figure
        label="Memory"
        value={percent(reserved, sum.totalMiB)}
        note={`${mib(reserved)} of ${mib(sum.totalMiB)} reserved`}
      />
    </dl>
  )
}

interface CardProps {
  node: Node
  instances: readonly Instance[]
  small: boolean
  /** The node that answers. */
  here: boolean
}

const NodeCard = memo(function NodeCard({ node, instances, small, here }: CardProps) {
  const reserved = node.totalMemoryMiB - node.freeMemoryMiB
  const lost = node.unreachableSince !== undefined
  const perCpu = node.load[0] / Math.max(node.numCPUs, 1)
  return (
    <article
      class={`node ${lost ? 'lost' : node.drain || node.draining ? 'draining' : ''}`}
      aria-label={`Node ${node.nodeId}`}
    >
      <header>
        <h3 title={`${node.nodeId} at ${node.peerUrl}`}>{node.nodeId}</h3>
        {here && !small && <small class="here">you are here</small>}
        <NodeState node={node} />
      </header>
      <div
        class="memory"
        role="img"
        aria-label={`${mib(reserved)} of ${mib(node.totalMemoryMiB)} memory reserved by ${plural(instances.length, 'instance')}`}
      >
        {instances.map((instance) => (
          <Tile
            key={instance.instanceId ?? `${instance.componentName}/${instance.startTime}`}
            instance={instance}
            total={node.totalMemoryMiB}
          />
        ))}
      </div>
      <p class="facts">
        <span>
          <b>{mib(reserved)}</b> of {mib(node.totalMemoryMiB)}
        </span>
        <span title={`over 1, 5 and 15 minutes: ${node.load.map((load) => load.toFixed(2)).join(', ')}`}>
          load <b class={perCpu > 1.5 ? 'high' : ''}>{node.load[0].toFixed(1)}</b>
          {!small && ` of ${node.numCPUs} CPUs`}
        </span>
        {!small && (
          <span>
            up <For time={node.startedAt} />
          </span>
        )}
      </p>
      {!small && <Runs instances={instances} />}
      {node.roles.length > 0 && (
        <ul class="roles" aria-label="Roles">
          {node.roles.map((role) => (
            <li key={role.role} title={`term ${role.term}: acts as ${role.role} for the cluster`}>
              {role.role}
              {!small && role.since !== undefined && (
                <small>
                  {' for '}
                  <For time={role.since} />
                </small>
              )}
            </li>
          ))}
        </ul>
      )}
    </article>
  )
})

function NodeState({ node }: { node: Node }) {
  if (node.unreachableSince !== undefined) {
    return (
      <Badge tone="bad">
        unreachable for <For time={node.unreachableSince} />
      </Badge>
    )
  }
  const state = node.drain?.state ?? (node.draining ? 'draining' : undefined)
  if (state === undefined) return <Badge tone="good">active</Badge>
  return (
    <span title={node.drain?.reasons.join('; ')}>
      <Badge tone="warn">{state}</Badge>
    </span>
  )
}

/** An instance as a piece of the node's memory. */
function Tile({ instance, total }: { instance: Instance; total: number }) {
  const state = stateOf(instance)
  const width = `${Math.max((instance.memoryReservedMiB / Math.max(total, 1)) * 100, 0.4)}%`
  return (
    <a
      class={`tile ${state}`}
      style={{ '--hue': hue(instance.componentName), width }}
      title={`${instance.componentName}, ${state}, ${mib(instance.memoryReservedMiB)}, ${plural(instance.inFlight, 'request')} in flight`}
      href={`#/components/${encodeURIComponent(instance.componentName)}`}
      tabIndex={-1}
    />
  )
}

export const stateOf = (instance: Instance): string =>
  instance.standby ? 'standby' : instance.status === 'active' && instance.suspect ? 'suspect' : instance.status

/** Components of the node with how many instances, most memory first. */
function Runs({ instances }: { instances: readonly Instance[] }) {
  const counts = new Map<string, { all: number; unready: number; mib: number }>()
  for (const instance of instances) {
    const known = counts.get(instance.componentName) ?? { all: 0, unready: 0, mib: 0 }
    known.all++
    known.mib += instance.memoryReservedMiB
    if (instance.status !== 'active') known.unready++
    counts.set(instance.componentName, known)
  }
  if (counts.size === 0) return <p class="runs none">no instances</p>
  const list = [...counts].sort((a, b) => b[1].mib - a[1].mib)
  return (
    <ul class="runs">
      {list.slice(0, 10).map(([name, { all, unready }]) => (
        <li key={name}>
          <a href={`#/components/${encodeURIComponent(name)}`} style={{ '--hue': hue(name) }}>
            <i class="dot" aria-hidden="true" />
            {name}
            {all > 1 && <b> ×{all}</b>}
            {unready > 0 && <em> {unready === all ? 'changing' : `${unready} changing`}</em>}
          </a>
        </li>
      ))}
      {list.length > 10 && <li class="more">and {list.length - 10} more</li>}
    </ul>
  )
}

function Latest() {
  const events = cluster.events.value.filter(isTelling).slice(-LATEST).reverse()
  return (
    <section class="latest" aria-labelledby="latest">
      <h2 id="latest">
        Latest decisions <a href="#/activity">all</a>
      </h2>
      {events.length === 0 ? (
        <Empty title="Nothing has happened yet" />
      ) : (
        <ol class="timeline short">
          {events.map((event) => (
            <EventItem key={`${event.nodeId}/${event.sequence}/${event.time}`} event={event} short />
          ))}
        </ol>
      )}
    </section>
  )
}
