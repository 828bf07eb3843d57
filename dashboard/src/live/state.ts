/** The cluster as the node told it last. Pure: a change in, the next state out; what stays the same keeps its identity. */
import type { Change, Component, Instance, JournalEvent, Load, MissingNode, Node, Section, Source } from './wire'

export interface State {
  /** Who answers. */
  node: string
  version: string
  time: number
  nodes: ReadonlyMap<string, Node>
  instances: ReadonlyMap<string, Instance>
  components: ReadonlyMap<string, Component>
  loads: ReadonlyMap<string, Load>
  sources: ReadonlyMap<string, Source>
  /** Oldest first. */
  events: readonly JournalEvent[]
  missing: readonly MissingNode[]
}

/** As many as anybody reads, at half a KiB each. */
export const EVENTS_KEPT = 1_000

export const NOTHING: State = {
  node: '',
  version: '',
  time: 0,
  nodes: new Map(),
  instances: new Map(),
  components: new Map(),
  loads: new Map(),
  sources: new Map(),
  events: [],
  missing: [],
}

export function apply(state: State, change: Change): State {
  return {
    node: change.node ?? state.node,
    version: change.version ?? state.version,
    time: change.time,
    nodes: section(state.nodes, change.nodes),
    instances: section(state.instances, change.instances),
    components: section(state.components, change.components),
    loads: section(state.loads, change.loads),
    sources: section(state.sources, change.sources),
    events: events(state.events, change.events),
    missing: change.missing ?? state.missing,
  }
}

function section<T>(known: ReadonlyMap<string, T>, change: Section<T> | undefined): ReadonlyMap<string, T> {
  if (!change) return known
  const next = new Map(known)
  for (const key of change.gone ?? []) next.delete(key)
  for (const [key, value] of Object.entries(change.put ?? {})) next.set(key, value)
  return next
}

export const eventKey = (event: JournalEvent) => `${event.nodeId}/${event.sequence}/${event.time}`

function events(known: readonly JournalEvent[], more: JournalEvent[] | undefined): readonly JournalEvent[] {
  if (!more?.length) return known
  const seen = new Set(known.map(eventKey))
  const fresh = more.filter((event) => !seen.has(eventKey(event)))
  // Another node's may come late.
  const all = [...known, ...fresh].sort((a, b) => a.time - b.time || a.sequence - b.sequence)
  return all.slice(-EVENTS_KEPT)
}
