import { expect, test } from 'vitest'
import type { State } from '../src/live/state'
import { Rows } from '../src/model/rows'
import { verdict } from '../src/model/verdict'
import { component, instance, load, node, state } from './some'

const judge = (state: State) => verdict(state, new Rows().of(state), 20_000)

test('a cluster without anything is ready', () => {
  expect(judge(state([node('n1')], []))).toMatchObject({ level: 'empty', problems: [] })
})

test('what is scaled to zero is well', () => {
  const told = judge(state([node('n1')], [component('a'), component('b')], [instance('a', 'n1')]))
  expect(told).toMatchObject({ level: 'good', headline: 'All is well' })
  expect(told.detail).toBe('1 node, 1 instance of 1 component running; 1 component scaled to zero until asked for')
})

test('what is broken is told before what is only to be looked at', () => {
  const nodes = [node('n1', { draining: true }), node('n2', { unreachableSince: 8_000 })]
  const told = judge(
    state(nodes, [component('a')], [instance('a', 'n1')], { a: load({ requestsPerSecond: 10, errorsPerSecond: 0.5 }) }),
  )
  expect(told).toMatchObject({ level: 'bad', headline: '1 problem' })
  expect(told.problems.map((problem) => problem.text)).toEqual([
    "Node n2 can't be reached",
    'Node n1 drains',
    'a: 5 % of requests fail',
  ])
  expect(told.problems[0]?.detail).toContain('for 12 s')
})

test('a drained node says how to take it back, one that leaves says why', () => {
  const drain = { state: 'drained', since: 1, reasons: ['somebody wants it empty'] } as const
  const leaves = { ...drain, state: 'leaving', reasons: ['EC2 takes the machine back (spot interruption)'] } as const
  const nodes = [
    node('n1', { draining: true, drain: { ...drain, reasons: [...drain.reasons] } }),
    node('n2', { draining: true, drain: { ...leaves, reasons: [...leaves.reasons] } }),
  ]
  const told = judge(state(nodes, [component('a')], [instance('a', 'n1')])).problems
  expect(told.map((problem) => problem.text)).toEqual(['Node n1 is drained', 'Node n2 leaves'])
  expect(told[0]?.detail).toContain('maelctl node undrain n1')
  expect(told[1]?.detail).toContain('spot interruption')
})

test('an overloaded component says what can be done', () => {
  const waits = { a: load({ waiting: 3, waitingForMillis: 2_000 }) }
  const full = judge(state([node('n1')], [component('a', { maxInstances: 1 })], [instance('a', 'n1')], waits))
  expect(full).toMatchObject({ level: 'warn' })
  expect(full.problems[0]?.detail).toContain('maxinstances')
})

test('a node whose numbers are missing is told once', () => {
  const silent = {
    ...state([node('n1'), node('n2', { unreachableSince: 1 }), node('n3')], []),
    missing: [
      { nodeId: 'n2', reason: 'x' },
      { nodeId: 'n3', reason: 'it is older' },
    ],
  }
  expect(judge(silent).problems.map((problem) => problem.text)).toEqual([
    "Node n2 can't be reached",
    'Node n3 does not tell its numbers',
  ])
})
