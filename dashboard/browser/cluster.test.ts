/** The page on a cluster of real daemons that share a table: one is killed and one leaves while it is watched. */
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { APP, Daemon, initStore, traffic, until } from './daemon'
import { launch, open, shoot } from './page'

const ENDPOINT = process.env.AWS_ENDPOINT_URL_DYNAMODB

describe.skipIf(!ENDPOINT)('three nodes', () => {
  let browser: Browser
  const daemons: Daemon[] = []
  let stop: (() => Promise<void>) | undefined
  const at = (i: number) => daemons[i] as Daemon

  beforeAll(async () => {
    browser = await launch()
    const shared = {
      MAEL_STORE: `dynamodb:browser-${process.pid}`,
      AWS_ENDPOINT_URL_DYNAMODB: ENDPOINT ?? '',
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      MAEL_TOTAL_MEMORY: '512',
      MAEL_NODE_LIVENESS_SECONDS: '20',
      MAEL_DRAIN_SECONDS: '8',
      // Nodes prove themselves to each other; the page is open.
      MAEL_CLUSTER_SECRET: 'cluster-0123456789abcdef',
    }
    initStore(shared)
    for (const name of ['one', 'two', 'three']) daemons.push(await Daemon.start(name, shared))
    await until(
      'all to know all',
      async () => (await at(0).call<{ nodes: unknown[] }>('NodeService.ListNodeStatus', {})).nodes.length === 3,
    )
    await at(0).put('shop_web', APP, { minInstances: 3, maxInstancesPerNode: 1 })
    await at(0).source('shop_web_root', 'shop_web', { http: { pathPrefix: '/' } })
    await until('a route', async () => (await fetch(`${at(0).public}/`)).ok)
    stop = traffic(() => `${at(0).public}/sleep?ms=20`, 3)
  })
  afterAll(async () => {
    await stop?.()
    for (const daemon of daemons) await daemon.stop()
    await browser?.close()
  })

  test('any node shows all of them, with what is relayed counted once', async () => {
    const { page, context, complaints } = await open(browser, at(1).ui)
    await expect.poll(() => page.locator('.node .badge.good').count(), { timeout: 60_000 }).toBe(3)
    await expect.poll(() => page.locator('.node .tile.active').count(), { timeout: 60_000 }).toBe(3)
    await page.locator('.headline.good').waitFor({ timeout: 30_000 })
    await shoot(page, 'cluster-well-light-desktop')
    await page.keyboard.press('2')
    const rate = page.locator('td.rate')
    // Three at a time, each some 20 to 60 ms.
    await expect.poll(async () => Number.parseFloat(await rate.innerText()), { timeout: 30_000 }).toBeGreaterThan(20)
    expect(Number.parseFloat(await rate.innerText())).toBeLessThan(151)
    expect(complaints).toEqual([])
    await context.close()
  })

  test('a node that is killed is the first thing seen, and gone once it is given up', async () => {
    const { page, context } = await open(browser, at(0).ui)
    await expect.poll(() => page.locator('.node').count()).toBe(3)
    at(2).signal('SIGKILL')
    await page
      .locator('.headline.bad .problems', { hasText: `${at(2).node} can't be reached` })
      .waitFor({ timeout: 30_000 })
    await shoot(page, 'cluster-killed-light-desktop')
    await expect.poll(() => page.locator('.node').count(), { timeout: 90_000 }).toBe(2)
    await page.keyboard.press('4')
    await page
      .locator('.timeline .event', { hasText: at(2).node })
      .first()
      .waitFor()
    await at(2).ended()
    await at(2).run()
    await page.keyboard.press('1')
    await expect.poll(() => page.locator('.node').count(), { timeout: 60_000 }).toBe(3)
    await context.close()
  })

  test('a node that leaves is seen to drain', async () => {
    const { page, context } = await open(browser, at(0).ui)
    await expect.poll(() => page.locator('.node').count(), { timeout: 60_000 }).toBe(3)
    at(1).signal('SIGTERM')
    await page
      .locator('.node.draining, .problems li', { hasText: at(1).node })
      .first()
      .waitFor({ timeout: 30_000 })
    await shoot(page, 'cluster-draining-light-desktop')
    await expect.poll(() => page.locator('.node').count(), { timeout: 90_000 }).toBe(2)
    await context.close()
  })
})
