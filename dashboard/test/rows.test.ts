import { expect, test } from 'vitest'
import { filtered, rollout, type Row, Rows, sorted } from '../src/model/rows'
import { component, instance, load, node, state } from './some'

const only = (rows: Row[]): Row => {
  expect(rows).toHaveLength(1)
  return rows[0] as Row
}

test('a row joins settings, instances and load', () => {
  const running = [
    instance('a', 'n1'),
    instance('a', 'n2'),
    instance('a', 'n2', { instanceId: 's', standby: true }),
    instance('a', 'n1', { instanceId: 'x', status: 'starting' }),
  ]
  const nodes = [
    node('n1', { targets: [{ componentName: 'a', targetCount: 2 }] }),
    node('n2', { targets: [{ componentName: 'a', targetCount: 1 }] }),
  ]
  const row = only(new Rows().of(state(nodes, [component('a')], running, { a: load({ inFlight: 5 }) })))
  expect(row).toMatchObject({
    active: 2,
    starting: 1,
    standby: 1,
    target: 3,
    capacity: 20,
    current: 2,
    health: 'serving',
  })
})

test('rows of which nothing changed are the same', () => {
  const rows = new Rows()
  const nodes = [node('n1')]
  const [a, b] = [component('a'), component('b')]
  const one = instance('b', 'n1')
  const before = rows.of(state(nodes, [a, b], [one], { a: load({}) }))
  const after = rows.of(state(nodes, [a, b], [one], { a: load({ inFlight: 1 }) }))
  expect(after[0]).not.toBe(before[0])
  expect(after[1]).toBe(before[1])
})

test('what runs on a node that is lost does not count, nor what it was to run', () => {
  const lost = node('n2', { unreachableSince: 5, targets: [{ componentName: 'a', targetCount: 1 }] })
  const running = [instance('a', 'n1'), instance('a', 'n2')]
  const rows = new Rows()
  expect(only(rows.of(state([node('n1'), node('n2')], [component('a')], running)))).toMatchObject({ active: 2 })
  expect(only(rows.of(state([node('n1'), lost], [component('a')], running)))).toMatchObject({ active: 1, target: 0 })
})

test('health names the worst that is true', () => {
  const failing = node('n1', {
    failures: [{ componentName: 'a', status: 502, reason: 'no image', retryAfterMillis: 1 }],
  })
  const of = (...parts: Parameters<typeof state>) => only(new Rows().of(state(...parts))).health
  const [n1, a, one] = [node('n1'), component('a'), instance('a', 'n1')]
  expect(of([n1], [a])).toBe('idle')
  expect(of([n1], [a], [instance('a', 'n1', { status: 'starting' })])).toBe('starting')
  expect(of([n1], [a], [], { a: load({ waiting: 1 }) })).toBe('starting')
  expect(of([n1], [a], [one])).toBe('serving')
  expect(of([n1], [component('a', { version: 2 })], [one])).toBe('deploying')
  expect(of([n1], [a], [one], { a: load({ waiting: 9, waitingForMillis: 3_000 }) })).toBe('overloaded')
  expect(of([n1], [a], [one], { a: load({ waiting: 9, waitingForMillis: 50 }) })).toBe('serving')
  expect(of([failing], [a], [one], { a: load({ waiting: 9, waitingForMillis: 3_000 }) })).toBe('failing')
})

test('a deploy is as far as instances of the new version serve', () => {
  const target = node('n1', { targets: [{ componentName: 'a', targetCount: 3 }] })
  const at = (versions: number[]) =>
    only(
      new Rows().of(
        state(
          [target],
          [component('a', { version: 2 })],
          versions.map((componentVersion, i) => instance('a', 'n1', { instanceId: String(i), componentVersion })),
        ),
      ),
    )
  expect(rollout(at([1, 1, 1]))).toEqual({ done: 0, all: 3 })
  expect(rollout(at([2, 1, 2]))).toEqual({ done: 2, all: 3 })
  expect(rollout(at([2, 2, 2]))).toBeUndefined()
})

test('rows are sorted by any column, equal ones by name, and filtered by words', () => {
  const components = [
    component('shop_b', { projectName: 'shop' }),
    component('shop_a', { projectName: 'shop' }),
    component('web'),
  ]
  const rows = new Rows().of(state([node('n1')], components, [], { web: load({ requestsPerSecond: 3 }) }))
  const names = (list: readonly Row[]) => list.map((row) => row.name)
  expect(names(sorted(rows, { column: 'name', down: true }))).toEqual(['web', 'shop_b', 'shop_a'])
  expect(names(sorted(rows, { column: 'rate', down: true }))).toEqual(['web', 'shop_a', 'shop_b'])
  expect(names(filtered(rows, 'SHOP a', ''))).toEqual(['shop_b', 'shop_a'])
  expect(names(filtered(rows, '', 'shop'))).toEqual(['shop_b', 'shop_a'])
  expect(names(filtered(rows, 'shop_a idle', ''))).toEqual(['shop_a'])
})
