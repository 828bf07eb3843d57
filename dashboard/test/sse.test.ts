import { expect, test } from 'vitest'
import { EventReader } from '../src/live/sse'

const TEXT = 'event: snapshot\ndata: {"a":1}\n\n: alive\n\nevent: change\r\ndata: one\r\ndata: two\r\n\r\ndata:bare\n\n'
const EVENTS = [
  { event: 'snapshot', data: '{"a":1}' },
  { event: 'change', data: 'one\ntwo' },
  { event: 'message', data: 'bare' },
]

test('events come out whole, however the stream is cut', () => {
  for (let size = 1; size <= TEXT.length; size++) {
    const reader = new EventReader()
    const found = []
    for (let at = 0; at < TEXT.length; at += size) found.push(...reader.push(TEXT.slice(at, at + size)))
    expect(found, `in pieces of ${size}`).toEqual(EVENTS)
  }
})

test('an event without its end is not told', () => {
  expect(new EventReader().push('event: change\ndata: {"half"')).toEqual([])
})

test('an event without end is given up', () => {
  const reader = new EventReader()
  const piece = 'x'.repeat(9 << 20)
  expect(() => {
    for (let i = 0; i < 5; i++) reader.push(piece)
  }).toThrow('without end')
})
