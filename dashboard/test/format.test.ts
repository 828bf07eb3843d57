import { expect, test } from 'vitest'
import { ago, hue, mib, millis, percent, plural, rate, short, span, until } from '../src/model/format'

test.each([
  [0, '0'],
  [0.01, '<0.1'],
  [2.04, '2'],
  [12.34, '12.3'],
  [1240, '1\u2009240'],
  [18_240, '18.2 k'],
])('%d a second is %s', (value, text) => expect(rate(value)).toBe(text))

test.each([
  [undefined, '–'],
  [0.25, '0.3 ms'],
  [12.4, '12 ms'],
  [1_500, '1.5 s'],
  [90_000, '1.5 min'],
])('%s ms is %s', (value, text) => expect(millis(value)).toBe(text))

test.each([
  [0, '0 s'],
  [59_400, '59 s'],
  [90_000, '1 min'],
  [3_600_000, '1 h'],
  [93_600_000, '1 d 2 h'],
])('%d ms last %s', (value, text) => expect(span(value)).toBe(text))

test('times before and after now', () => {
  expect([ago(0, 5), ago(9_500, 10_000), ago(5_000, 10_000)]).toEqual(['never', 'now', '5 s ago'])
  expect([until(10_000, 10_000), until(15_000, 10_000)]).toEqual(['now', 'in 5 s'])
})

test('shares, sizes and numbers of things', () => {
  expect([percent(0, 0), percent(1, 2_000), percent(1, 30), percent(1, 3)]).toEqual(['0 %', '<0.1 %', '3.3 %', '33 %'])
  expect([mib(128), mib(4096), mib(5325)]).toEqual(['128 MiB', '4 GiB', '5.2 GiB'])
  expect([plural(1, 'node'), plural(2, 'node'), plural(0, 'request waits', 'requests wait')]).toEqual([
    '1 node',
    '2 nodes',
    '0 requests wait',
  ])
})

test('a component has one colour, and its project is not said twice', () => {
  expect(hue('shop_web')).toBe(hue('shop_web'))
  expect(new Set(['a', 'b', 'c', 'd', 'e', 'f'].map(hue)).size).toBeGreaterThan(3)
  expect([short('shop_web', 'shop'), short('shop_web', 'sho'), short('web', undefined)]).toEqual([
    'web',
    'shop_web',
    'web',
  ])
})
