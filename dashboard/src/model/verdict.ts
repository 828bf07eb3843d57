/** The state of the cluster in one sentence, and what is wrong, worst first. */
import type { State } from '../live/state'
import type { Node } from '../live/wire'
import { plural, span } from './format'
import type { Row } from './rows'

export interface Problem {
  level: 'bad' | 'warn'
  text: string
  /** What it means or what to do. */
  detail: string
  /** Where to look. */
  href: string
}

export interface Verdict {
  level: 'good' | 'warn' | 'bad' | 'empty'
  headline: string
  detail: string
  problems: Problem[]
}

/** So much of what was asked failed: more than a bad moment. */
const ERRORS_WARN = 0.01
const ERRORS_BAD = 0.1

type Known = Pick<State, 'nodes' | 'missing'>

export function verdict(state: Known, rows: readonly Row[], now: number): Verdict {
  const problems = [...nodeProblems(state, now), ...rows.flatMap(rowProblems)]
  problems.sort((a, b) => Number(a.level === 'warn') - Number(b.level === 'warn'))
  const nodes = [...state.nodes.values()].filter((node) => node.unreachableSince === undefined)
  const instances = rows.reduce((sum, row) => sum + row.active, 0)
  const working = rows.filter((row) => row.active > 0).length
  const runs = `${plural(nodes.length, 'node')}, ${plural(instances, 'instance')} of ${plural(working, 'component')} running`
  const idle = rows.filter((row) => row.health === 'idle').length
  const detail = idle > 0 ? `${runs}; ${plural(idle, 'component')} scaled to zero until asked for` : runs
  const bad = problems.filter((problem) => problem.level === 'bad').length
  if (bad > 0) return { level: 'bad', headline: plural(bad, 'problem'), detail, problems }
  if (problems.length > 0)
    return { level: 'warn', headline: `Working, with ${plural(problems.length, 'thing')} to look at`, detail, problems }
  if (rows.length === 0) {
    return {
      level: 'empty',
      headline: 'Ready for its first project',
      detail: `${plural(nodes.length, 'node')}, nothing registered yet`,
      problems,
    }
  }
  return { level: 'good', headline: 'All is well', detail, problems }
}

function drainOf({ nodeId, drain }: Node): { text: string; detail: string } {
  const why = drain?.reasons.length ? `${drain.reasons.join('; ')}: ` : ''
  switch (drain?.state) {
    case 'drained':
      return { text: `Node ${nodeId} is drained`, detail: `nothing runs there until maelctl node undrain ${nodeId}` }
    case 'leaving':
      return {
        text: `Node ${nodeId} leaves`,
        detail: `${why}what runs there moves to other nodes, then its daemon ends`,
      }
    default:
      return { text: `Node ${nodeId} drains`, detail: `${why}what runs there moves to other nodes` }
  }
}

function nodeProblems(state: Known, now: number): Problem[] {
  const found: Problem[] = []
  for (const node of state.nodes.values()) {
    const href = '#/cluster'
    if (node.unreachableSince !== undefined) {
      const text = `Node ${node.nodeId} can't be reached`
      found.push({
        level: 'bad',
        text,
        detail: `for ${span(now - node.unreachableSince)}; its instances are replaced elsewhere once it is given up`,
        href,
      })
    } else if (node.drain || node.draining) {
      found.push({ level: 'warn', ...drainOf(node), href })
    }
  }
  const unasked = state.missing.filter((missing) => state.nodes.get(missing.nodeId)?.unreachableSince === undefined)
  for (const { nodeId, reason } of unasked) {
    found.push({ level: 'warn', text: `Node ${nodeId} does not tell its numbers`, detail: reason, href: '#/cluster' })
  }
  return found
}

function rowProblems(row: Row): Problem[] {
  const href = `#/components/${encodeURIComponent(row.name)}`
  const found: Problem[] = []
  if (row.failure) found.push({ level: 'bad', text: `${row.name} can't be started`, detail: row.failure.reason, href })
  const { requestsPerSecond, errorsPerSecond, waiting, waitingForMillis } = row.load
  const failed = requestsPerSecond > 0 ? errorsPerSecond / requestsPerSecond : 0
  if (failed >= ERRORS_WARN && !row.failure) {
    const level = failed >= ERRORS_BAD ? 'bad' : 'warn'
    found.push({
      level,
      text: `${row.name}: ${Math.round(failed * 100)} % of requests fail`,
      detail: 'answers with a status of 500 and above',
      href,
    })
  }
  if (row.health === 'overloaded') {
    const most = row.component.maxInstances
    const full = most !== undefined && row.active >= most
    const detail = full
      ? `all ${most} allowed instances run: raise maxinstances or look why it is slow`
      : 'more instances are on their way or have no room'
    found.push({
      level: 'warn',
      text: `${row.name}: ${plural(waiting, 'request waits', 'requests wait')}, the first for ${span(waitingForMillis)}`,
      detail,
      href,
    })
  }
  return found
}
