/** Journal entries as the timeline shows them. */
import type { JournalEvent } from '../live/wire'

export interface KindInfo {
  label: string
  /** How it is drawn. */
  tone: 'good' | 'warn' | 'bad' | 'plain'
  group: Group
}

export type Group = 'scaling' | 'instances' | 'deploys' | 'events' | 'cluster' | 'problems'

export const GROUPS: Record<Group, string> = {
  problems: 'Problems',
  scaling: 'Scaling',
  instances: 'Instances',
  deploys: 'Deploys',
  events: 'Event sources',
  cluster: 'Cluster',
}

/** Those of `core::journal::Kind`. */
const KINDS: Record<string, KindInfo> = {
  'cold-start': { label: 'Cold start', tone: 'plain', group: 'scaling' },
  scale: { label: 'Scale', tone: 'plain', group: 'scaling' },
  placement: { label: 'Placement', tone: 'plain', group: 'scaling' },
  unplaceable: { label: 'No room', tone: 'bad', group: 'problems' },
  'instance-started': { label: 'Started', tone: 'good', group: 'instances' },
  'instance-stopped': { label: 'Stopped', tone: 'plain', group: 'instances' },
  'start-failed': { label: 'Start failed', tone: 'bad', group: 'problems' },
  restart: { label: 'Restart', tone: 'warn', group: 'problems' },
  adopted: { label: 'Taken over', tone: 'plain', group: 'instances' },
  deploy: { label: 'Deploy', tone: 'good', group: 'deploys' },
  standby: { label: 'Standby', tone: 'plain', group: 'instances' },
  image: { label: 'Image', tone: 'plain', group: 'deploys' },
  cron: { label: 'Cron', tone: 'plain', group: 'events' },
  poller: { label: 'Poller', tone: 'warn', group: 'events' },
  role: { label: 'Role', tone: 'plain', group: 'cluster' },
  configuration: { label: 'Configuration', tone: 'plain', group: 'deploys' },
  dependency: { label: 'Dependency', tone: 'warn', group: 'problems' },
  node: { label: 'Node', tone: 'plain', group: 'cluster' },
}

/** One that this page does not know yet is shown all the same. */
export const kind = (event: JournalEvent): KindInfo =>
  KINDS[event.kind] ?? { label: event.kind, tone: 'plain', group: 'cluster' }

export interface EventFilter {
  words: string
  group: Group | ''
}

/** Newest first. */
export function chosen(events: readonly JournalEvent[], { words, group }: EventFilter): JournalEvent[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
  const takes = (event: JournalEvent) => {
    if (group && kind(event).group !== group) return false
    const text =
      `${event.message} ${event.componentName ?? ''} ${event.nodeId} ${event.kind} ${(event.reasons ?? []).join(' ')}`.toLowerCase()
    return wanted.every((word) => text.includes(word))
  }
  return events.filter(takes).reverse()
}

/** Whether it belongs in a short list: rules that are answered as ever would fill it. */
export function isTelling(event: JournalEvent): boolean {
  const status = event.data?.status
  return event.kind !== 'cron' || typeof status !== 'number' || status >= 300
}

export interface Phase {
  name: string
  millis: number
  /** Where it begins. */
  at: number
}

/** In their order; the journal's numbers have none. */
const PHASES: [key: string, name: string][] = [
  ['placeMs', 'place'],
  ['pullMs', 'pull'],
  ['createMs', 'create'],
  ['startMs', 'start'],
  ['probeMs', 'probe'],
  ['serveMs', 'serve'],
  ['firstByteMs', 'first byte'],
]

/** A cold start's phases one after the other; empty for what has none. */
export function phases(event: JournalEvent): Phase[] {
  if (event.kind !== 'cold-start') return []
  const found: Phase[] = []
  let at = 0
  for (const [key, name] of PHASES) {
    const value = event.data?.[key]
    if (typeof value !== 'number') continue
    found.push({ name, millis: value, at })
    at += value
  }
  return found
}

/** Those that a chart marks: what may explain a bend in it. */
export function marks(events: readonly JournalEvent[], component: string): JournalEvent[] {
  const telling = new Set(['scale', 'deploy', 'cold-start', 'restart', 'start-failed', 'unplaceable'])
  return events.filter((event) => event.componentName === component && telling.has(event.kind))
}
