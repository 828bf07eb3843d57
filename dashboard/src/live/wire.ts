/** What the daemon sends, as it stands on the wire. Times are Unix milliseconds. */

export interface Node {
  nodeId: string
  peerUrl: string
  startedAt: number
  totalMemoryMiB: number
  freeMemoryMiB: number
  numCPUs: number
  /** Over 1, 5 and 15 minutes. */
  load: [number, number, number]
  draining?: boolean
  drain?: DrainInfo
  /** Since when the node that answers can't reach it: all else is what was known then. */
  unreachableSince?: number
  roles: RoleInfo[]
  targets: TargetInfo[]
  failures: FailureInfo[]
}

export interface DrainInfo {
  /** `leaving`: the daemon ends; else it stays until somebody takes the node back. */
  state: 'draining' | 'drained' | 'leaving'
  since: number
  /** One sentence for each signal. */
  reasons: string[]
  /** When the machine may be gone. */
  deadline?: number
}

export interface RoleInfo {
  role: string
  term: number
  /** When it was taken, where that is known. */
  since?: number
}

export interface TargetInfo {
  componentName: string
  targetCount: number
  standby?: number
}

export interface FailureInfo {
  componentName: string
  status: number
  reason: string
  retryAfterMillis: number
}

export interface Instance {
  nodeId: string
  instanceId?: string
  componentName: string
  componentVersion: number
  status: 'active' | 'starting' | 'stopping'
  standby?: boolean
  suspect?: boolean
  maxConcurrency: number
  memoryReservedMiB: number
  startTime: number
  inFlight: number
  requestsPerSecond: number
  /** 0: never. */
  lastRequestTime: number
  address?: string
}

export interface Component {
  name: string
  projectName?: string
  version: number
  modifiedAt?: number
  image: string
  minInstances: number
  maxInstances?: number
  maxConcurrency: number
  scaleUpPct: number
  scaleDownPct: number
  softLimit?: boolean
  reserveMemoryMiB: number
  idleTimeoutSeconds?: number
}

/** A component's requests over the cluster, in the last seconds. Durations are in ms. */
export interface Load {
  inFlight: number
  waiting: number
  waitingForMillis: number
  requestsPerSecond: number
  errorsPerSecond: number
  gonePerSecond: number
  /** Absent: there was no request. */
  p50?: number
  p99?: number
}

export interface Source {
  name: string
  componentName: string
  projectName?: string
  enabled: boolean
  http?: { hostname?: string; pathPrefix?: string; stripPrefix?: boolean }
  cron?: { schedule: string; http: { method: string; path: string } }
  sqs?: { queueName: string; nameAsPrefix?: boolean; path: string; maxConcurrency?: number; batch?: boolean }
  awsstepfunc?: { activityName: string; path: string; maxConcurrency?: number }
  /** When a cron rule is due next. */
  next?: number[]
  last?: LastResult
}

/** An event source of a queue or an activity at work. */
export interface Described {
  queues?: QueueInfo[]
  /** Why the queues can't be told. */
  queuesTrouble?: string
  pollers?: PollerInfo[]
}

export interface QueueInfo {
  name: string
  depth: number
  inFlight: number
  delayed: number
  oldestAgeSeconds?: number
  deadLetters?: number
  trouble?: string
}

export interface PollerInfo {
  /** Absent: nobody works as it now. */
  nodeId?: string
  inFlight: number
  waiting: number
  succeeded: number
  failed: number
  pausedUntil?: number
  trouble?: string
}

/** What came of an event source's last event. */
export interface LastResult {
  time: number
  message: string
  ok: boolean
}

export interface JournalEvent {
  /** Rises by one per event of a node since its daemon started. */
  sequence: number
  time: number
  nodeId: string
  kind: string
  componentName?: string
  message: string
  reasons?: string[]
  data?: Record<string, unknown>
}

export interface MissingNode {
  nodeId: string
  reason: string
}

export interface Section<T> {
  put?: Record<string, T>
  gone?: string[]
}

/** What changed since the last one; the first of a stream is a change to nothing. */
export interface Change {
  /** The node's clock. */
  time: number
  /** Who answers; in the first. */
  node?: string
  version?: string
  nodes?: Section<Node>
  instances?: Section<Instance>
  components?: Section<Component>
  loads?: Section<Load>
  sources?: Section<Source>
  /** New ones, oldest first. */
  events?: JournalEvent[]
  missing?: MissingNode[]
}

export interface HistorySample {
  time: number
  requestsPerSecond: number
  errorsPerSecond: number
  p50?: number
  p99?: number
  inFlight: number
  waiting: number
  instances: number
}

export interface History {
  stepMillis: number
  samples: HistorySample[]
  missing?: MissingNode[]
}

export interface Explanation {
  targetInstances: number
  targetReasons: string[]
  lastFailure?: string
  nextTryAt?: number
}

export interface LogLine {
  Node?: string
  Component: string
  Stream: string
  Data: string
}
