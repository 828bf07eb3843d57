/** The page on a simulated cluster: all views, signing in, a lost connection, and a hundred nodes. */
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { shootAll } from './look'
import { launch, longestTask, open, shoot } from './page'
import { Simulated } from './simulated'

const DIST = join(import.meta.dirname, '../dist')
let browser: Browser

beforeAll(async () => {
  browser = await launch()
})
afterAll(() => browser?.close())

describe('a few nodes', () => {
  let node: Simulated
  let address: string
  beforeAll(async () => {
    node = new Simulated(DIST, { nodes: 5, components: 24, millis: 1_000, trouble: true })
    address = await node.listen()
  })
  afterAll(() => node.close())

  test('every view in both colours on both sizes', async () => {
    const complaints = await shootAll(browser, address, 'simulated', [
      { name: 'cluster', hash: '#/cluster', ready: '.node .tile' },
      { name: 'components', hash: '#/components', ready: 'table.components tbody tr' },
      { name: 'component', hash: '#/components/media_web', ready: '.plot path.line' },
      { name: 'sources', hash: '#/sources', ready: '.source' },
      { name: 'activity', hash: '#/activity', ready: '.timeline .event' },
      { name: 'logs', hash: '#/logs', ready: '.lines .line' },
    ])
    expect(complaints).toEqual([])
  })

  test('the problem of a cluster is said first, and what is text stays text', async () => {
    const { page, context, complaints } = await open(browser, address)
    await page.locator('.headline.bad').waitFor()
    expect(await page.locator('.problems').innerText()).toContain("node-03 can't be reached")
    await page.goto(`${address}#/logs`)
    await page.locator('.lines .stderr', { hasText: '<script>alert(1)</script>' }).first().waitFor()
    expect(complaints).toEqual([])
    await context.close()
  })

  test('keys alone lead everywhere', async () => {
    const { page, context } = await open(browser, address)
    await page.locator('.node').first().waitFor()
    for (const [key, title] of [
      ['2', 'Components'],
      ['3', 'Event sources'],
      ['4', 'Activity'],
      ['5', 'Logs'],
      ['1', 'Cluster'],
    ] as const) {
      await page.keyboard.press(key)
      await page.locator('h1', { hasText: title }).waitFor({ state: 'attached' })
    }
    await page.keyboard.press('2')
    await page.locator('table.components').waitFor()
    await page.keyboard.press('/')
    await page.keyboard.type('media api')
    await expect.poll(() => page.locator('table.components tbody tr:not(.gap)').count()).toBe(1)
    expect(page.url()).toContain('q=media+api')
    await page.keyboard.press('Escape')
    await expect.poll(() => page.locator('table.components tbody tr:not(.gap)').count()).toBe(24)
    await context.close()
  })

  test('a connection that is lost is said with the age of what is shown, and comes back', async () => {
    const { page, context } = await open(browser, address)
    await page.locator('.connection.live').waitFor()
    await context.setOffline(true)
    node.drop()
    await page.locator('.notice.stale').waitFor()
    await page.locator('main.stale').waitFor()
    await shoot(page, 'simulated-lost-light-desktop')
    await context.setOffline(false)
    await page.locator('.connection.live').waitFor()
    expect(await page.locator('.notice.stale').count()).toBe(0)
    await context.close()
  })

  test('a switch moves when the cluster says so', async () => {
    const { page, context } = await open(browser, `${address}#/sources?q=shop_web_http`)
    const toggle = page.getByRole('switch', { name: 'shop_web_http enabled' })
    await expect.poll(() => toggle.getAttribute('aria-checked')).toBe('true')
    await toggle.click()
    await expect.poll(() => toggle.getAttribute('aria-checked')).toBe('false')
    await toggle.click()
    await expect.poll(() => toggle.getAttribute('aria-checked')).toBe('true')
    await context.close()
  })
})

describe('a node with a token', () => {
  test('asks for it, and keeps it in the page alone', async () => {
    const node = new Simulated(DIST, { nodes: 2, components: 5, millis: 1_000, token: 'secret' })
    const address = await node.listen()
    const { page, context } = await open(browser, address)
    const field = page.getByLabel('Token')
    await field.fill('wrong')
    await field.press('Enter')
    await page.getByText('does not take this token').waitFor()
    await shoot(page, 'simulated-signin-light-desktop')
    await field.fill('secret')
    await field.press('Enter')
    await page.locator('.node').first().waitFor()
    const kept = await page.evaluate(() =>
      JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]),
    )
    expect(kept).not.toContain('secret')
    expect(node.asked.join()).not.toContain('secret')
    await context.close()
    await node.close()
  })
})

/** Of being watched. */
const SECONDS = 6

describe('a hundred nodes and five hundred components', () => {
  let node: Simulated
  let address: string
  beforeAll(async () => {
    node = new Simulated(DIST, { nodes: 100, components: 500, millis: 1_000 })
    address = await node.listen()
  })
  afterAll(() => node.close())

  for (const view of ['cluster', 'components', 'components/media_web', 'sources', 'activity', 'logs']) {
    test(`no task of ${view} takes over 50 ms while everything changes`, async () => {
      const { page, context } = await open(browser, `${address}#/${view}`)
      await page.locator('.connection.live').waitFor()
      await page.waitForTimeout(3_000)
      const { longest, busy } = await longestTask(page, () => page.waitForTimeout(SECONDS * 1_000))
      await shoot(page, `many-${view.replace('/', '-')}-light-desktop`)
      console.log(`${view}: longest task ${longest.toFixed(1)} ms, ${(busy / SECONDS / 10).toFixed(1)} % of a core`)
      expect(longest).toBeLessThan(50)
      await context.close()
    })
  }
})
