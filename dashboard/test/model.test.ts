import { expect, test } from 'vitest'
import { chosen, isTelling, marks, phases } from '../src/model/activity'
import { nearest, path, scale, spark } from '../src/model/curve'
import { bridged, minutesOf } from '../src/model/history'
import { KEPT, LineReader, Lines } from '../src/model/lines'
import { parse } from '../src/model/route'
import { chosenSources, kindOf } from '../src/model/sources'
import { told } from '../src/model/work'
import { visible } from '../src/model/window'
import { hidden } from '../src/model/yaml'
import { event } from './some'

test('addresses name a view, a component and a filter', () => {
  expect(parse('')).toMatchObject({ view: 'cluster' })
  expect(parse('#/components')).toMatchObject({ view: 'components', name: '' })
  expect(parse('#/components/shop_web')).toMatchObject({ view: 'component', name: 'shop_web' })
  expect(parse('#/logs?component=a%20b').query.get('component')).toBe('a b')
  expect(parse('#/components/%E0%A4%A').name).toBe('%E0%A4%A')
  expect(parse('#/nothing')).toMatchObject({ view: 'cluster' })
})

test('events are chosen by group and words, newest first', () => {
  const events = [
    event({ time: 1, message: 'one' }),
    event({ time: 2, kind: 'deploy', message: 'two' }),
    event({ time: 3, message: 'three', reasons: ['90 % is over 70 %'] }),
  ]
  expect(chosen(events, { words: '', group: 'scaling' }).map((event) => event.time)).toEqual([3, 1])
  expect(chosen(events, { words: 'over 70', group: '' }).map((event) => event.time)).toEqual([3])
  expect(chosen([event({ kind: 'new-kind' })], { words: '', group: 'cluster' })).toHaveLength(1)
})

test("a cold start's phases follow each other in their order", () => {
  const start = event({
    kind: 'cold-start',
    data: { totalMs: 300, startMs: 200, placeMs: 5, probeMs: 95, servedBy: 'n2' },
  })
  expect(phases(start)).toEqual([
    { name: 'place', millis: 5, at: 0 },
    { name: 'start', millis: 200, at: 5 },
    { name: 'probe', millis: 95, at: 205 },
  ])
  expect(phases(event({ data: { placeMs: 5 } }))).toEqual([])
})

test('rules that are answered as ever do not fill a short list', () => {
  const fired = (status?: number) => event({ kind: 'cron', data: status === undefined ? {} : { status } })
  expect([fired(200), fired(500), fired(), event({})].map(isTelling)).toEqual([false, true, true, true])
})

test('a chart marks what may explain a bend in it', () => {
  const events = [
    event({ componentName: 'a' }),
    event({ componentName: 'b' }),
    event({ componentName: 'a', kind: 'image' }),
  ]
  expect(marks(events, 'a')).toHaveLength(1)
})

test('lines come out whole, however the stream is cut, and signs of life are none', () => {
  const text =
    'PING\r\n{"Component":"web","Stream":"stderr","Data":"a"}\r\nPING\r\n{"Component":"web","Stream":"stdout","Data":"b"}\r\n'
  for (let size = 1; size < text.length; size++) {
    const reader = new LineReader()
    const found = []
    for (let at = 0; at < text.length; at += size) found.push(...reader.push(text.slice(at, at + size)))
    expect(found.map((line) => line.Data)).toEqual(['a', 'b'])
    expect(reader.live).toBe(true)
  }
})

test('the newest lines are kept, without colours of terminals, and cut where nobody reads on', () => {
  const lines = new Lines()
  const line = (Data: string, Stream = 'stdout') => ({ Component: 'web', Stream, Data })
  lines.add([line('\u001b[31mred\u001b[0m'), line('x'.repeat(9_000), 'stderr')], 1)
  expect(lines.all[0]?.text).toBe('red')
  expect(lines.all[1]).toMatchObject({ stderr: true })
  expect(lines.all[1]?.text.length).toBeLessThan(4_100)
  lines.add(
    Array.from({ length: KEPT }, (_, i) => line(`n${i}`)),
    2,
  )
  expect(lines.all).toHaveLength(KEPT)
  expect(lines.dropped).toBe(2)
  expect(lines.matching('N4999 web').map((line) => line.text)).toEqual(['n4999'])
})

test('event sources are found by what they look for, too', () => {
  const base = { componentName: 'web', enabled: true }
  const sources = [
    { ...base, name: 'b', http: { hostname: 'shop.example', pathPrefix: '/cart' } },
    { ...base, name: 'a', cron: { schedule: '@hourly', http: { method: 'GET', path: '/' } } },
  ]
  expect(sources.map(kindOf)).toEqual(['http', 'cron'])
  expect(chosenSources(sources, 'cart', '').map((source) => source.name)).toEqual(['b'])
  expect(chosenSources(sources, '', '').map((source) => source.name)).toEqual(['a', 'b'])
  expect(chosenSources(sources, '', 'cron').map((source) => source.name)).toEqual(['a'])
})

test('rows in sight and some around them are drawn', () => {
  expect(visible(0, 480, 48, 500)).toEqual({ from: 0, to: 18 })
  expect(visible(4_800, 480, 48, 500)).toEqual({ from: 92, to: 118 })
  expect(visible(1e9, 480, 48, 500)).toEqual({ from: 500, to: 500 })
})

test('values of the environment and passwords are hidden, also where they go on', () => {
  const yaml = [
    'components:',
    '  web:',
    '    image: a:1',
    '    environment:',
    '      - URL=postgres://u:p@db',
    '      - >-',
    '        KEY=long',
    '        more',
    '    pullpassword: secret',
    '    maxconcurrency: 4',
  ].join('\n')
  const shown = hidden(yaml)
  for (const secret of ['postgres', 'long', 'more', 'secret']) expect(shown).not.toContain(secret)
  expect(shown).toContain('- URL=••••')
  expect(shown).toContain('maxconcurrency: 4')
  const flush = 'environment:\n- A=1\n- B=2\nimage: x=y'
  expect(hidden(flush)).toBe('environment:\n- A=••••\n- B=••••\nimage: x=y')
})

test('axes are round and hold all values', () => {
  for (const most of [0, 0.3, 1, 7, 10, 99, 101, 12_345]) {
    const { top, ticks } = scale(most)
    expect(top).toBeGreaterThanOrEqual(most)
    expect(ticks.length).toBeGreaterThanOrEqual(2)
    expect(ticks.length).toBeLessThanOrEqual(5)
  }
})

test('a line has gaps where nothing is known', () => {
  const box = { left: 0, top: 0, width: 100, height: 10 }
  expect(path([0, 50, 100], [0, 10, 5], 0, 100, 10, box)).toBe('M0.0 10.0L50.0 0.0L100.0 5.0')
  expect(path([0, 50, 100], [0, undefined, 5], 0, 100, 10, box)).toBe('M0.0 10.0h0.1M100.0 5.0h0.1')
  expect(path([0, 50], [0, 10], 0, 100, 10, box, true)).toBe('M0.0 10.0H50.0V0.0')
  expect([nearest([], 5), nearest([1, 5, 9], 6), nearest([1, 5, 9], 8), nearest([1, 5, 9], 99)]).toEqual([-1, 1, 2, 2])
  expect(spark([1, 2], 60)).toBe('')
  expect(spark([1, 2, 3, 4, 5], 60).split(' ')).toHaveLength(5)
})

test('steps of which nodes keep nothing were idle', () => {
  const sample = (time: number) => ({
    time,
    requestsPerSecond: 1,
    errorsPerSecond: 0,
    inFlight: 0,
    waiting: 0,
    instances: 1,
  })
  const told = bridged([sample(10), sample(40)], 10, 0, 75)
  expect(told.map(({ time, requestsPerSecond }) => [time, requestsPerSecond])).toEqual([
    [10, 1],
    [20, 0],
    [30, 0],
    [40, 1],
    [50, 0],
  ])
  // The last one is not over.
  expect(bridged([sample(10), sample(20)], 10, 0, 25).map((sample) => sample.time)).toEqual([10])
  // Idle since before the hour began.
  expect(bridged([sample(10)], 10, 35, 75).map((sample) => sample.time)).toEqual([40, 50])
  expect(bridged([], 10, 0, 75)).toEqual([])
  expect([minutesOf([], 0), minutesOf([sample(0)], 600_000), minutesOf([sample(0)], 9_999_999)]).toEqual([5, 15, 60])
})

test('queues and pollers are told in lines, trouble as that', () => {
  const queue = { name: 'a', depth: 3, inFlight: 1, delayed: 0, oldestAgeSeconds: 70, deadLetters: 2 }
  const poller = { nodeId: 'n1', inFlight: 1, waiting: 0, succeeded: 5, failed: 0, pausedUntil: 9_000 }
  const nobody = { inFlight: 7, waiting: 0, succeeded: 0, failed: 0 }
  expect(told({ queues: [queue], pollers: [poller, nobody] }, 1_000)).toEqual([
    { text: 'about 3 waiting, 1 in flight, oldest in hand 1 min', bad: false },
    { text: '2 dead letters', bad: true },
    { text: '1 poller: 1 in flight, 5 done', bad: false },
    { text: 'paused by the component, goes on in 8 s', bad: false },
  ])
  const broken = { ...queue, name: 'b', trouble: 'access denied' }
  const texts = told({ queues: [queue, broken], queuesTrouble: 'throttled' }, 0).filter((line) => line.bad)
  expect(texts.map((line) => line.text)).toEqual(['throttled', 'a: 2 dead letters', 'b: access denied'])
  expect(told({}, 0)).toEqual([])
})
