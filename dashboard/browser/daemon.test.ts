/** The page on a real daemon with real containers: what is done in the cluster is seen, what is done in the page takes effect. */
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { APP, APP_NEXT, Daemon, traffic, until } from './daemon'
import { shootAll } from './look'
import { launch, longestTask, open, shoot } from './page'

let browser: Browser
let daemon: Daemon
const quiet: (() => Promise<void>)[] = []

beforeAll(async () => {
  browser = await launch()
  daemon = await Daemon.start('browser')
})
afterAll(async () => {
  for (const stop of quiet) await stop()
  await daemon?.stop()
  await browser?.close()
})

test('a daemon without anything says what to do first', async () => {
  const { page, context, complaints } = await open(browser, daemon.ui)
  await page.locator('.headline.empty').waitFor()
  expect(await page.locator('.headline').innerText()).toContain('maelctl project put')
  await shoot(page, 'daemon-empty-light-desktop')
  // What comes is there without a reload.
  await daemon.put('shop_web', APP, { minInstances: 1, maxInstances: 3 })
  await page.locator('.runs a', { hasText: 'shop_web' }).waitFor({ timeout: 60_000 })
  await page.locator('.headline.good').waitFor()
  expect(complaints).toEqual([])
  await context.close()
})

test('the first load is small, compressed, from this node alone, and kept', async () => {
  const { page, context, asked, complaints } = await open(browser, 'about:blank')
  const session = await context.newCDPSession(page)
  await session.send('Network.enable')
  let bytes = 0
  session.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength))
  const encodings: (string | undefined)[] = []
  page.on('response', (response) => {
    if (/\.(js|css)$/.test(response.url())) encodings.push(response.headers()['content-encoding'])
  })
  await page.goto(daemon.ui)
  await page.locator('.connection.live').waitFor()
  await page.locator('.node').waitFor()
  console.log(`first load: ${(bytes / 1_024).toFixed(1)} KiB`)
  expect(bytes).toBeGreaterThan(10 * 1_024)
  expect(bytes).toBeLessThan(100 * 1_024)
  expect(encodings).toHaveLength(2)
  for (const encoding of encodings) expect(['gzip', 'br']).toContain(encoding)
  const origin = new URL(daemon.ui).origin
  expect(asked.filter((url) => url !== 'about:blank' && new URL(url).origin !== origin)).toEqual([])
  bytes = 0
  await page.reload()
  await page.locator('.node').waitFor()
  expect(bytes).toBeLessThan(3 * 1_024)
  expect(complaints).toEqual([])
  await context.close()
})

test('an idle page takes next to nothing', async () => {
  const { page, context } = await open(browser, daemon.ui)
  await page.locator('.node').waitFor()
  await page.waitForTimeout(3_000)
  const { busy } = await longestTask(page, () => page.waitForTimeout(10_000))
  console.log(`idle: ${(busy / 100).toFixed(2)} % of a core`)
  expect(busy).toBeLessThan(100)
  await context.close()
})

describe('with traffic', () => {
  beforeAll(async () => {
    await daemon.source('shop_web_root', 'shop_web', { http: { pathPrefix: '/' } })
    await daemon.put('shop_clock', APP, { maxInstances: 2 })
    await daemon.source('shop_clock_tick', 'shop_clock', {
      cron: { schedule: '@every 2s', http: { method: 'GET', path: '/log?line=tick&stream=stderr' } },
    })
    await daemon.put('shop_broken', 'maelstrom-test/absent:1', {})
    await daemon.source('shop_broken_route', 'shop_broken', { http: { pathPrefix: '/broken' } })
    await until('a route', async () => (await fetch(`${daemon.public}/`)).ok)
    quiet.push(
      traffic(() => `${daemon.public}/sleep?ms=30`, 3),
      traffic(() => `${daemon.public}/log?line=hello%20%3Cb%3E`, 1, 250),
    )
  })

  test('requests, latency and instances are those of the cluster', async () => {
    const { page, context, complaints } = await open(browser, `${daemon.ui}#/components`)
    const row = page.locator('table.components tbody tr', { hasText: 'web' })
    await expect
      .poll(async () => Number.parseFloat(await row.locator('td.rate').innerText()), { timeout: 30_000 })
      .toBeGreaterThan(20)
    const p50 = await row.locator('td.p50').innerText()
    expect(Number.parseFloat(p50)).toBeGreaterThanOrEqual(16)
    expect(Number.parseFloat(p50)).toBeLessThan(70)
    expect(complaints).toEqual([])
    await context.close()
  })

  test("a component that can't start is the first thing seen, with the reason", async () => {
    const { page, context } = await open(browser, daemon.ui)
    void fetch(`${daemon.public}/broken`).catch(() => undefined)
    const problem = page.locator('.problems li.bad', { hasText: "shop_broken can't be started" })
    await problem.waitFor({ timeout: 30_000 })
    expect(await problem.innerText()).toContain('absent')
    await problem.locator('a').click()
    await page.locator('h1', { hasText: 'shop_broken' }).waitFor()
    await page.locator('.why .notice.bad').waitFor()
    await context.close()
  })

  test('a switch takes effect and comes back', async () => {
    const { page, context } = await open(browser, `${daemon.ui}#/sources`)
    const toggle = page.getByRole('switch', { name: 'shop_web_root enabled' })
    await toggle.click()
    await expect.poll(() => toggle.getAttribute('aria-checked')).toBe('false')
    expect((await fetch(`${daemon.public}/`)).status).toBe(404)
    await toggle.click()
    await expect.poll(() => toggle.getAttribute('aria-checked')).toBe('true')
    expect((await fetch(`${daemon.public}/`)).status).toBe(200)
    const rule = page.locator('.source', { hasText: 'shop_clock_tick' })
    await rule.locator('.last', { hasText: 'answered 200' }).waitFor({ timeout: 30_000 })
    expect(await rule.innerText()).toContain('next')
    await context.close()
  })

  test('lines come live, with stderr marked, and can be filtered and paused', async () => {
    const { page, context, complaints } = await open(browser, `${daemon.ui}#/logs`)
    await page.locator('.lines .line.stderr', { hasText: 'tick' }).first().waitFor({ timeout: 30_000 })
    await page.locator('.lines .line', { hasText: 'hello <b>' }).first().waitFor()
    await page.keyboard.press('/')
    await page.keyboard.type('tick')
    await expect.poll(() => page.locator('.lines .line', { hasText: 'hello' }).count()).toBe(0)
    await page.getByRole('button', { name: 'Pause' }).click()
    const before = await page.locator('.logs .tools small').innerText()
    await page.getByRole('button', { name: /Go on \(\d+ new\)/ }).waitFor({ timeout: 30_000 })
    expect(await page.locator('.logs .tools small').innerText()).toBe(before)
    expect(complaints).toEqual([])
    await context.close()
  })

  test('a deploy is watched to its end', async () => {
    const { page, context } = await open(browser, `${daemon.ui}#/components/shop_web`)
    await page.locator('h1 small', { hasText: 'v1' }).waitFor()
    // Health checks of the new version take their time: the deploy can be seen.
    await daemon.put('shop_web', APP_NEXT, { minInstances: 2, maxInstances: 3 })
    await page.locator('.rollout').waitFor({ timeout: 30_000 })
    await page.locator('.rollout').waitFor({ state: 'detached', timeout: 60_000 })
    await page.locator('h1 small', { hasText: 'v2' }).waitFor()
    await expect
      .poll(() => page.locator('table.instances tbody tr', { hasText: 'active' }).count(), { timeout: 30_000 })
      .toBeGreaterThanOrEqual(2)
    await page.locator('.timeline .event.good', { hasText: 'Deploy' }).first().waitFor()
    const yaml = page.locator('.yaml pre')
    await expect.poll(() => yaml.innerText()).toContain('maelstrom-test/app:2')
    expect(await yaml.innerText()).not.toContain('a-secret')
    await page.getByRole('button', { name: 'Show values' }).click()
    expect(await yaml.innerText()).toContain('a-secret')
    await context.close()
  })

  test('every view with real data', async () => {
    // Charts with more than a point.
    await until(
      'samples',
      async () =>
        (await daemon.call<{ samples: unknown[] }>('MaelstromService.ReadHistory', { name: 'shop_web' })).samples
          .length > 3,
    )
    const complaints = await shootAll(browser, daemon.ui, 'daemon', [
      { name: 'cluster', hash: '#/cluster', ready: '.node .tile' },
      { name: 'components', hash: '#/components', ready: 'table.components tbody tr' },
      { name: 'component', hash: '#/components/shop_web', ready: '.plot path.line' },
      { name: 'sources', hash: '#/sources', ready: '.source' },
      { name: 'activity', hash: '#/activity', ready: '.timeline .event' },
      { name: 'logs', hash: '#/logs', ready: '.lines .line' },
    ])
    expect(complaints).toEqual([])
  })

  test('pages of other sites can neither read nor change anything', async () => {
    const rpc = daemon.ui.replace('ui/', 'v1')
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'MaelstromService.ToggleEventSources',
      params: [{ enabled: false }],
    })
    const status = async (headers: Record<string, string>) =>
      (await fetch(rpc, { method: 'POST', headers, body })).status
    expect(await status({ Origin: 'http://elsewhere.example', 'Content-Type': 'text/plain' })).toBe(403)
    const live = await fetch(daemon.ui.replace('ui/', 'v1/live'), { headers: { Origin: 'http://elsewhere.example' } })
    expect(live.status).toBe(403)
    await live.body?.cancel()
    expect((await fetch(`${daemon.public}/`)).status).toBe(200)
  })

  test('a daemon that ends and comes back is seen as that', async () => {
    const { page, context } = await open(browser, `${daemon.ui}#/activity?kind=cluster`)
    await page.locator('.connection.live').waitFor()
    const starts = page.locator('.timeline .event', { hasText: 'serves the public' })
    await expect.poll(() => starts.count()).toBe(1)
    daemon.signal('SIGKILL')
    await page.locator('.notice.stale').waitFor({ timeout: 15_000 })
    await daemon.ended()
    await daemon.run()
    await page.locator('.connection.live').waitFor({ timeout: 30_000 })
    // Of the daemon before, too: the page remembers what that one told.
    await expect.poll(() => starts.count()).toBe(2)
    await context.close()
  })
})
