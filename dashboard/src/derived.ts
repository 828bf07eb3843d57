/** What views show of the state, worked out once for all of them. */
import { computed, signal } from '@preact/signals'
import { cluster, now, state, tick } from './live/feed'
import { Groups, Rows } from './model/rows'
import { verdict } from './model/verdict'

const maker = new Rows()
const groups = new Groups((instance) => instance.nodeId)

export const rows = computed(() =>
  maker.of({
    nodes: cluster.nodes.value,
    instances: cluster.instances.value,
    components: cluster.components.value,
    loads: cluster.loads.value,
  }),
)
export const byName = computed(() => new Map(rows.value.map((row) => [row.name, row])))
export const byNode = computed(() => groups.of(cluster.instances.value))
export const judged = computed(() => {
  const [nodes, missing] = [cluster.nodes.value, cluster.missing.value]
  // For how long is told by the second.
  for (const node of nodes.values()) if (node.unreachableSince !== undefined) tick.value
  return verdict({ nodes, missing }, rows.value, now())
})
export const names = computed(() => [...cluster.components.value.keys()].sort())
export const projects = computed(() => {
  const names = new Set<string>()
  for (const component of cluster.components.value.values()) if (component.projectName) names.add(component.projectName)
  return [...names].sort()
})

export interface Totals {
  requestsPerSecond: number
  errorsPerSecond: number
  inFlight: number
  waiting: number
  totalMiB: number
  freeMiB: number
  /** The slowest component's, with its name. */
  slowest: { name: string; p99: number } | undefined
}

export const totals = computed<Totals>(() => {
  const sum: Totals = {
    requestsPerSecond: 0,
    errorsPerSecond: 0,
    inFlight: 0,
    waiting: 0,
    totalMiB: 0,
    freeMiB: 0,
    slowest: undefined,
  }
  for (const [name, load] of cluster.loads.value) {
    sum.requestsPerSecond += load.requestsPerSecond
    sum.errorsPerSecond += load.errorsPerSecond
    sum.inFlight += load.inFlight
    sum.waiting += load.waiting
    if (load.p99 !== undefined && load.p99 > (sum.slowest?.p99 ?? 0)) sum.slowest = { name, p99: load.p99 }
  }
  for (const node of cluster.nodes.value.values()) {
    if (node.unreachableSince !== undefined) continue
    sum.totalMiB += node.totalMemoryMiB
    sum.freeMiB += node.freeMemoryMiB
  }
  return sum
})

/** Rates since the page was opened, for sparklines. */
const SLOTS = 60
const traces = new Map<string, number[]>()
export const SPARK_SLOTS = SLOTS
export const traced = signal(0)

/** The last rates of a component, oldest first. */
export const trace = (name: string): readonly number[] => traces.get(name) ?? []

state.subscribe((current) => {
  if (current.time === 0) return
  for (const name of traces.keys()) if (!current.components.has(name)) traces.delete(name)
  for (const name of current.components.keys()) {
    const values = traces.get(name) ?? []
    values.push(current.loads.get(name)?.requestsPerSecond ?? 0)
    if (values.length > SLOTS) values.shift()
    traces.set(name, values)
  }
  traced.value = current.time
})
