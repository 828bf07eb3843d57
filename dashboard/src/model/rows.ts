/** One row per component: what is configured, what runs and how it goes, joined. */
import type { Component, FailureInfo, Instance, Load, Node } from '../live/wire'
import type { State } from '../live/state'

export type Health = 'serving' | 'idle' | 'starting' | 'deploying' | 'overloaded' | 'failing'

export interface Row {
  name: string
  component: Component
  load: Load
  instances: readonly Instance[]
  /** In rotation: not starting, ending or on standby, and not on a node that can't be reached. */
  active: number
  starting: number
  standby: number
  /** Sum of what the nodes are to run. */
  target: number
  /** Requests that the active instances take at once. */
  capacity: number
  /** Active instances of the current version. */
  current: number
  health: Health
  failure: FailureInfo | undefined
}

export const NO_LOAD: Load = {
  inFlight: 0,
  waiting: 0,
  waitingForMillis: 0,
  requestsPerSecond: 0,
  errorsPerSecond: 0,
  gonePerSecond: 0,
}
const NO_INSTANCES: readonly Instance[] = []
/** Who waits longer has not only come at a bad moment. */
const WAITS_LONG = 1_000

/** Remembers the rows it made: one whose parts are the same is the same. */
export class Rows {
  #groups = new Groups()
  #known = new Map<string, { parts: readonly unknown[]; row: Row }>()

  of(state: Pick<State, 'nodes' | 'instances' | 'components' | 'loads'>): Row[] {
    const groups = this.#groups.of(state.instances)
    const wanted = targets(state.nodes)
    const lost = new Set(
      [...state.nodes.values()].filter((node) => node.unreachableSince !== undefined).map((node) => node.nodeId),
    )
    const known = new Map<string, { parts: readonly unknown[]; row: Row }>()
    const rows: Row[] = []
    for (const component of state.components.values()) {
      const name = component.name
      const { target, failure } = wanted.get(name) ?? { target: 0, failure: undefined }
      const instances = groups.get(name) ?? NO_INSTANCES
      const unreachable = lost.size === 0 ? 0 : instances.filter((instance) => lost.has(instance.nodeId)).length
      const parts = [component, state.loads.get(name), instances, unreachable, target, failure?.reason]
      const before = this.#known.get(name)
      const same = before !== undefined && parts.every((part, i) => part === before.parts[i])
      const row = same
        ? before.row
        : make(component, state.loads.get(name) ?? NO_LOAD, instances, lost, target, failure)
      known.set(name, { parts, row })
      rows.push(row)
    }
    this.#known = known
    return rows
  }
}

/** The instances of each component; a group of which nothing changed is the same list. */
export class Groups {
  #known = new Map<string, readonly Instance[]>()

  constructor(readonly by: (instance: Instance) => string = (instance) => instance.componentName) {}

  of(instances: ReadonlyMap<string, Instance>): ReadonlyMap<string, readonly Instance[]> {
    const groups = new Map<string, Instance[]>()
    for (const instance of instances.values()) {
      const group = groups.get(this.by(instance))
      if (group) group.push(instance)
      else groups.set(this.by(instance), [instance])
    }
    const next = new Map<string, readonly Instance[]>()
    for (const [key, group] of groups) {
      group.sort((a, b) => order(a, b))
      const before = this.#known.get(key)
      const same = before?.length === group.length && group.every((instance, i) => instance === before[i])
      next.set(key, same ? before : group)
    }
    return (this.#known = next)
  }
}

function order(a: Instance, b: Instance): number {
  return (
    compare(a.componentName, b.componentName) ||
    compare(a.nodeId, b.nodeId) ||
    a.startTime - b.startTime ||
    compare(a.instanceId ?? '', b.instanceId ?? '')
  )
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

function targets(nodes: ReadonlyMap<string, Node>): Map<string, { target: number; failure: FailureInfo | undefined }> {
  const found = new Map<string, { target: number; failure: FailureInfo | undefined }>()
  const entry = (name: string) => {
    const known = found.get(name) ?? { target: 0, failure: undefined }
    found.set(name, known)
    return known
  }
  for (const node of nodes.values()) {
    if (node.unreachableSince !== undefined) continue
    for (const target of node.targets) entry(target.componentName).target += target.targetCount
    for (const failure of node.failures) entry(failure.componentName).failure ??= failure
  }
  return found
}

export const isActive = (instance: Instance) => instance.status === 'active' && !instance.standby

function make(
  component: Component,
  load: Load,
  instances: readonly Instance[],
  lost: ReadonlySet<string>,
  target: number,
  failure: FailureInfo | undefined,
): Row {
  const active = instances.filter((instance) => isActive(instance) && !lost.has(instance.nodeId))
  const row = {
    name: component.name,
    component,
    load,
    instances,
    active: active.length,
    starting: instances.filter((instance) => instance.status === 'starting').length,
    standby: instances.filter((instance) => instance.standby).length,
    target,
    capacity: active.reduce((sum, instance) => sum + instance.maxConcurrency, 0),
    current: active.filter((instance) => instance.componentVersion === component.version).length,
    failure,
  }
  return { ...row, health: health(row) }
}

function health(row: Omit<Row, 'health'>): Health {
  if (row.failure) return 'failing'
  if (row.active > 0 && row.load.waiting > 0 && row.load.waitingForMillis > WAITS_LONG) return 'overloaded'
  const outdated = row.instances.some(
    (instance) => instance.componentVersion !== row.component.version && instance.status !== 'stopping',
  )
  if (outdated) return 'deploying'
  if (row.active > 0) return 'serving'
  return row.starting > 0 || row.load.waiting > 0 ? 'starting' : 'idle'
}

export type Column =
  'name' | 'health' | 'instances' | 'rate' | 'concurrency' | 'p50' | 'p99' | 'errors' | 'queue' | 'memory'

/** Worst first. */
const RANK: Record<Health, number> = { failing: 0, overloaded: 1, deploying: 2, starting: 3, serving: 4, idle: 5 }

const KEYS: Record<Column, (row: Row) => number | string> = {
  name: (row) => row.name,
  health: (row) => RANK[row.health],
  instances: (row) => row.active + row.starting,
  rate: (row) => row.load.requestsPerSecond,
  concurrency: (row) => (row.capacity ? row.load.inFlight / row.capacity : 0),
  p50: (row) => row.load.p50 ?? -1,
  p99: (row) => row.load.p99 ?? -1,
  errors: (row) => row.load.errorsPerSecond,
  queue: (row) => row.load.waiting,
  memory: (row) => row.instances.reduce((sum, instance) => sum + instance.memoryReservedMiB, 0),
}

export interface Sorting {
  column: Column
  down: boolean
}

export function sorted(rows: readonly Row[], { column, down }: Sorting): Row[] {
  const key = KEYS[column]
  return rows
    .map((row) => ({ row, key: key(row) }))
    .sort((a, b) => {
      const order = a.key < b.key ? -1 : a.key > b.key ? 1 : 0
      return (down ? -order : order) || compare(a.row.name, b.row.name)
    })
    .map(({ row }) => row)
}

/** Each word must stand somewhere in the name, the project, the image or the state. */
export function filtered(rows: readonly Row[], words: string, project: string): Row[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
  return rows.filter((row) => {
    if (project && row.component.projectName !== project) return false
    const text = `${row.name} ${row.component.projectName ?? ''} ${row.component.image} ${row.health}`.toLowerCase()
    return wanted.every((word) => text.includes(word))
  })
}

/** How far a deploy has come; `undefined`: none is under way. */
export function rollout(row: Row): { done: number; all: number } | undefined {
  const counted = row.instances.filter((instance) => instance.status !== 'stopping')
  const done = counted.filter(
    (instance) => instance.status === 'active' && instance.componentVersion === row.component.version,
  ).length
  const outdated = counted.some((instance) => instance.componentVersion !== row.component.version)
  if (!outdated) return undefined
  return { done, all: Math.max(row.target, done + 1) }
}
