/** What queues and pollers of an event source do, in lines. */
import type { Described } from '../live/wire'
import { count, plural, span, until } from './format'

export interface WorkLine {
  text: string
  bad: boolean
}

export function told({ queues = [], queuesTrouble, pollers = [] }: Described, now: number): WorkLine[] {
  const lines: WorkLine[] = []
  const good = (text: string) => lines.push({ text, bad: false })
  const bad = (text: string) => lines.push({ text, bad: true })
  if (queuesTrouble) bad(queuesTrouble)
  for (const queue of queues) {
    // One queue needs no name: it stands beside.
    const name = queues.length > 1 ? `${queue.name}: ` : ''
    if (queue.trouble) {
      bad(`${name}${queue.trouble}`)
      continue
    }
    const oldest =
      queue.oldestAgeSeconds === undefined ? '' : `, oldest in hand ${span(queue.oldestAgeSeconds * 1_000)}`
    const delayed = queue.delayed > 0 ? `, ${count(queue.delayed)} delayed` : ''
    good(`${name}about ${count(queue.depth)} waiting, ${count(queue.inFlight)} in flight${delayed}${oldest}`)
    if (queue.deadLetters) bad(`${name}${plural(queue.deadLetters, 'dead letter')}`)
  }
  const working = pollers.filter((poller) => poller.nodeId !== undefined)
  if (pollers.length > 0) {
    const sum = (of: 'inFlight' | 'succeeded' | 'failed') => working.reduce((all, poller) => all + poller[of], 0)
    const failed = sum('failed')
    good(`${plural(working.length, 'poller')}: ${count(sum('inFlight'))} in flight, ${count(sum('succeeded'))} done`)
    if (failed > 0) bad(`${count(failed)} failed`)
  }
  const paused = working.map((poller) => poller.pausedUntil ?? 0).filter((time) => time > now)
  if (paused.length > 0) good(`paused by the component, goes on ${until(Math.min(...paused), now)}`)
  for (const trouble of new Set(working.flatMap((poller) => poller.trouble ?? []))) bad(trouble)
  return lines
}
