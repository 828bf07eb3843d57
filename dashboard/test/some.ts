/** Things for tests, complete but for what a test cares about. */
import { NOTHING, type State } from '../src/live/state'
import type { Component, Instance, JournalEvent, Load, Node } from '../src/live/wire'

export const node = (nodeId: string, more: Partial<Node> = {}): Node => ({
  nodeId,
  peerUrl: 'http://10.0.0.1:8374',
  startedAt: 0,
  totalMemoryMiB: 4096,
  freeMemoryMiB: 2048,
  numCPUs: 2,
  load: [0, 0, 0],
  roles: [],
  targets: [],
  failures: [],
  ...more,
})

export const component = (name: string, more: Partial<Component> = {}): Component => ({
  name,
  version: 1,
  image: 'app:1',
  minInstances: 0,
  maxConcurrency: 10,
  scaleUpPct: 70,
  scaleDownPct: 40,
  reserveMemoryMiB: 128,
  ...more,
})

export const instance = (componentName: string, nodeId: string, more: Partial<Instance> = {}): Instance => ({
  nodeId,
  instanceId: `${componentName}@${nodeId}`,
  componentName,
  componentVersion: 1,
  status: 'active',
  maxConcurrency: 10,
  memoryReservedMiB: 128,
  startTime: 0,
  inFlight: 0,
  requestsPerSecond: 0,
  lastRequestTime: 0,
  ...more,
})

export const load = (more: Partial<Load>): Load => ({
  inFlight: 0,
  waiting: 0,
  waitingForMillis: 0,
  requestsPerSecond: 0,
  errorsPerSecond: 0,
  gonePerSecond: 0,
  ...more,
})

export const event = (more: Partial<JournalEvent>): JournalEvent => ({
  sequence: 1,
  time: 1,
  nodeId: 'n1',
  kind: 'scale',
  message: 'm',
  ...more,
})

export function state(
  nodes: Node[],
  components: Component[],
  instances: Instance[] = [],
  loads: Record<string, Load> = {},
): State {
  return {
    ...NOTHING,
    time: 1,
    nodes: new Map(nodes.map((node) => [node.nodeId, node])),
    components: new Map(components.map((component) => [component.name, component])),
    instances: new Map(instances.map((instance) => [`${instance.nodeId}/${instance.instanceId}`, instance])),
    loads: new Map(Object.entries(loads)),
  }
}
