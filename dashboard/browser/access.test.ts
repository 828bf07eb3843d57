/** The page on a daemon that asks for a token: who gets in, what it may do, and who else can't. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { APP, Daemon, until } from './daemon'
import { launch, open, shoot } from './page'

const ADMIN = 'admin-0123456789abcdef'
const READER = 'reader-0123456789abcdef'
const SCRIPT = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'

/** The same without the blanks that a path can't have. */
const ODD_PATH = '/<svg/onload=window.pwned=1>'

let browser: Browser
let daemon: Daemon
/** Another site, with a page that tries what pages can. */
let elsewhere: Server

beforeAll(async () => {
  browser = await launch()
  daemon = await Daemon.start('access', { MAEL_API_TOKEN: ADMIN, MAEL_API_TOKEN_READONLY: READER })
  const environment = [{ name: 'GREETING', value: SCRIPT }]
  await daemon.put('shop_web', APP, { minInstances: 1, environment })
  await daemon.source('shop_web_root', 'shop_web', { http: { pathPrefix: '/' } })
  // Names can't hold markup; paths, values and lines can.
  await daemon.source('shop_web_odd', 'shop_web', { http: { pathPrefix: ODD_PATH } })
  await until('a route', async () => (await fetch(`${daemon.public}/`)).ok)
  elsewhere = createServer((_, response) => {
    response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>elsewhere</title>')
  })
  await new Promise<void>((resolve) => elsewhere.listen(0, resolve))
})
afterAll(async () => {
  elsewhere?.close()
  await daemon?.stop()
  await browser?.close()
})

async function signIn(page: Page, token: string): Promise<void> {
  const field = page.getByLabel('Token')
  await field.fill(token)
  await field.press('Enter')
}

const toggled = (name: string) => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'MaelstromService.ToggleEventSources',
  params: [{ enabled: false, name }],
})

test('nothing is shown before a token is, and a wrong one is said to be', async () => {
  const { page, context } = await open(browser, `${daemon.ui}#/components`)
  await page.getByText('asks for its API token').waitFor()
  expect(await page.locator('body').innerText()).not.toContain('shop')
  await shoot(page, 'access-signin-light-desktop')
  await signIn(page, 'stranger-0123456789abcdef')
  await page.getByText('does not take this token').waitFor()
  expect(await page.getByLabel('Token').getAttribute('aria-invalid')).toBe('true')
  await signIn(page, ADMIN)
  await page.locator('table.components tbody tr', { hasText: 'web' }).waitFor()
  await context.close()
})

test('the token is kept in the page alone, and forgotten on signing out and on a reload', async () => {
  const { page, context, asked } = await open(browser, daemon.ui)
  await signIn(page, ADMIN)
  await page.locator('.node').first().waitFor()
  const kept = await page.evaluate(async () =>
    JSON.stringify([
      { ...localStorage },
      { ...sessionStorage },
      document.cookie,
      location.href,
      document.documentElement.outerHTML,
      await indexedDB.databases(),
      await caches.keys(),
    ]),
  )
  expect(kept).not.toContain(ADMIN)
  expect(asked.join()).not.toContain(ADMIN)
  expect(await context.cookies()).toEqual([])
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByText('You are signed out').waitFor()
  expect(await page.locator('body').innerText()).not.toContain(daemon.node)
  await signIn(page, ADMIN)
  await page.locator('.node').first().waitFor()
  await page.reload()
  await page.getByText('asks for its API token').waitFor()
  await context.close()
})

test('who may look only finds the switches off, and the node refuses, too', async () => {
  const { page, context } = await open(browser, `${daemon.ui}#/sources`)
  await signIn(page, READER)
  const toggle = page.getByRole('switch', { name: 'shop_web_root enabled' })
  await toggle.waitFor()
  expect(await toggle.isDisabled()).toBe(true)
  expect(await toggle.getAttribute('title')).toContain('may look')
  await page.locator('.top', { hasText: 'read only' }).waitFor()
  await shoot(page, 'access-reader-light-desktop')
  const status = await page.evaluate(
    async ([token, body]) =>
      (
        await fetch('../v1', {
          method: 'POST',
          headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
          body: JSON.stringify(body),
        })
      ).status,
    [READER, toggled('shop_web_root')] as const,
  )
  expect(status).toBe(403)
  expect((await fetch(`${daemon.public}/`)).status).toBe(200)
  await page.getByRole('button', { name: 'Sign out' }).click()
  await signIn(page, ADMIN)
  await expect.poll(() => toggle.isDisabled()).toBe(false)
  await context.close()
})

test('a token that is no longer taken is asked for again', async () => {
  const { page, context } = await open(browser, daemon.ui)
  await signIn(page, READER)
  await page.locator('.connection.live').waitFor()
  await daemon.restart({ MAEL_API_TOKEN_READONLY: '' })
  await page.getByText('does not take this token').waitFor({ timeout: 30_000 })
  await daemon.restart({ MAEL_API_TOKEN_READONLY: READER })
  await until('the route again', async () => (await fetch(`${daemon.public}/`)).ok)
  await context.close()
})

describe('with somebody signed in', () => {
  test('pages of other sites, and of components beside the page, can do nothing in their name', async () => {
    const { page, context } = await open(browser, daemon.ui)
    await signIn(page, ADMIN)
    await page.locator('.node').first().waitFor()
    const other = await context.newPage()
    const port = (elsewhere.address() as AddressInfo).port
    const origin = new URL(daemon.ui).origin
    // Another site; the same host at another port, which is the same site; a component, which is the same origin.
    for (const place of [`http://localhost:${port}/`, `http://127.0.0.1:${port}/`, `${origin}/`]) {
      await other.goto(place)
      const seen = await other.evaluate(
        async ([rpc, body]) => {
          const attempt = async (init: RequestInit) => {
            try {
              const response = await fetch(rpc, { method: 'POST', body: JSON.stringify(body), ...init })
              return String(response.status)
            } catch {
              return 'blocked'
            }
          }
          const found = [
            await attempt({ credentials: 'include' }),
            await attempt({ credentials: 'include', headers: { 'Content-Type': 'application/json' } }),
            await attempt({ credentials: 'include', mode: 'no-cors' }),
          ]
          const form = document.createElement('form')
          const frame = document.createElement('iframe')
          frame.name = 'hidden'
          document.body.append(frame)
          Object.assign(form, { method: 'POST', action: rpc, enctype: 'text/plain', target: 'hidden' })
          const field = document.createElement('input')
          Object.assign(field, { name: JSON.stringify(body).slice(0, -1) + ',"x":"', value: '"}' })
          form.append(field)
          document.body.append(form)
          const loaded = new Promise((resolve) => frame.addEventListener('load', resolve, { once: true }))
          form.submit()
          await loaded
          return found
        },
        [`${origin}/_mael/v1`, toggled('shop_web_root')] as const,
      )
      // An answer without a body for no-cors has status 0.
      for (const one of seen) expect(['blocked', '401', '403', '0'], place).toContain(one)
      expect((await fetch(`${daemon.public}/`)).status, place).toBe(200)
    }
    await context.close()
  })

  test('no page frames it, and one that opens it gets no hold of it', async () => {
    const { page, context } = await open(browser, daemon.ui)
    const policy = (await (await fetch(daemon.ui)).text(), (await fetch(daemon.ui)).headers)
    expect(policy.get('content-security-policy')).toContain("frame-ancestors 'none'")
    expect(policy.get('content-security-policy')).not.toContain('unsafe')
    expect(policy.get('cross-origin-opener-policy')).toBe('same-origin')
    // A page of a component, of the same origin.
    await page.goto(`${new URL(daemon.ui).origin}/`)
    const [popup] = await Promise.all([
      context.waitForEvent('page'),
      page.evaluate((ui) => {
        ;(window as unknown as { opened: Window | null }).opened = window.open(ui)
      }, daemon.ui),
    ])
    await popup.getByText('asks for its API token').waitFor()
    const hold = await page.evaluate(() => {
      const opened = (window as unknown as { opened: Window | null }).opened
      return { closed: opened?.closed ?? true }
    })
    expect(hold.closed).toBe(true)
    await context.close()
  })

  test('markup in lines, paths and values of the environment stays text', async () => {
    const { page, context, complaints } = await open(browser, `${daemon.ui}#/logs`)
    await signIn(page, ADMIN)
    await page.locator('.lines').waitFor()
    complaints.length = 0
    await fetch(`${daemon.public}/log?line=${encodeURIComponent(SCRIPT)}`)
    await page.locator('.lines .line', { hasText: '<script>window.pwned=1</script>' }).first().waitFor()
    await page.goto(`${daemon.ui}#/sources`)
    await page.locator('.source', { hasText: 'onload' }).waitFor()
    await page.goto(`${daemon.ui}#/components/shop_web`)
    await page.getByRole('button', { name: 'Show values' }).click()
    await expect.poll(() => page.locator('.yaml pre').innerText()).toContain('onerror')
    expect(await page.evaluate(() => (window as unknown as { pwned?: number }).pwned)).toBeUndefined()
    expect(complaints).toEqual([])
    await context.close()
  })
})
