import { expect, test } from 'vitest'
import { apply, EVENTS_KEPT, NOTHING } from '../src/live/state'
import type { JournalEvent } from '../src/live/wire'
import { component, event, load } from './some'

test('a change touches what it names and leaves the rest as it is', () => {
  const first = apply(NOTHING, {
    time: 1,
    node: 'n1',
    version: '1',
    components: { put: { a: component('a'), b: component('b') } },
    loads: { put: { a: load({}) } },
  })
  const second = apply(first, { time: 2, components: { put: { c: component('c') }, gone: ['a'] } })
  expect([...second.components.keys()]).toEqual(['b', 'c'])
  expect(second.components.get('b')).toBe(first.components.get('b'))
  expect(second.loads).toBe(first.loads)
  expect(second).toMatchObject({ node: 'n1', version: '1', time: 2 })
  expect(first.components.has('a')).toBe(true)
})

test('events are told once, in the order of their time, and bounded', () => {
  const of = (times: number[]): JournalEvent[] => times.map((time) => event({ time, sequence: time }))
  const first = apply(NOTHING, { time: 1, events: of([1, 3]) })
  const second = apply(first, { time: 2, events: of([2, 3, 4]) })
  expect(second.events.map((event) => event.time)).toEqual([1, 2, 3, 4])
  expect(apply(second, { time: 3 }).events).toBe(second.events)
  const many = apply(second, { time: 4, events: of(Array.from({ length: EVENTS_KEPT + 5 }, (_, i) => i + 10)) })
  expect(many.events).toHaveLength(EVENTS_KEPT)
  expect(many.events.at(-1)?.time).toBe(EVENTS_KEPT + 14)
})

test('a daemon that began anew numbers its events from one again: they are others', () => {
  const before = apply(NOTHING, { time: 1, events: [event({ sequence: 1, time: 5 })] })
  expect(apply(before, { time: 2, events: [event({ sequence: 1, time: 9 })] }).events).toHaveLength(2)
})
