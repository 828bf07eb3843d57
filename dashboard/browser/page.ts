/** Debian's Chromium without a window, and what all tests of pages do. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'

const CHROMIUM = '/usr/bin/chromium'
export const SHOTS = join(import.meta.dirname, '../../target/dashboard')

/** What Chromium would otherwise ask of the outside world at its start. */
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export const launch = (): Promise<Browser> => chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS })

export const SIZES = { desktop: { width: 1366, height: 850 }, phone: { width: 390, height: 844 } } as const
export type Size = keyof typeof SIZES
export type Colours = 'light' | 'dark'

export interface Opened {
  context: BrowserContext
  page: Page
  /** What the page complained about: errors, and what its policy forbade. */
  complaints: string[]
  /** Addresses that were asked. */
  asked: string[]
}

export async function open(
  browser: Browser,
  address: string,
  size: Size = 'desktop',
  colours: Colours = 'light',
): Promise<Opened> {
  const context = await browser.newContext({
    viewport: SIZES[size],
    colorScheme: colours,
    hasTouch: size === 'phone',
    reducedMotion: 'reduce',
  })
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  const complaints: string[] = []
  const asked: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
  page.on('request', (request) => asked.push(request.url()))
  await page.goto(address)
  return { context, page, complaints, asked }
}

export async function shoot(page: Page, name: string): Promise<void> {
  mkdirSync(SHOTS, { recursive: true })
  await page.screenshot({ path: join(SHOTS, `${name}.png`) })
}

/** Numbers of what the page did, from the browser's own trace: tasks of the page's main thread. */
export async function longestTask(page: Page, during: () => Promise<void>): Promise<{ longest: number; busy: number }> {
  const session = await page.context().newCDPSession(page)
  const events: {
    name: string
    ph: string
    dur?: number
    tdur?: number
    pid: number
    tid: number
    args?: { data?: unknown; name?: string }
  }[] = []
  session.on('Tracing.dataCollected', ({ value }) => events.push(...(value as unknown as typeof events)))
  await session.send('Tracing.start', {
    transferMode: 'ReportEvents',
    traceConfig: {
      includedCategories: ['toplevel', '__metadata'],
    },
  })
  await during()
  const complete = new Promise((resolve) => session.once('Tracing.tracingComplete', resolve))
  await session.send('Tracing.end')
  await complete
  await session.detach()
  const main = new Set(
    events
      .filter((event) => event.name === 'thread_name' && event.args?.name === 'CrRendererMain')
      .map((event) => `${event.pid}/${event.tid}`),
  )
  const tasks = events.filter(
    (event) =>
      event.ph === 'X' &&
      /RunTask|ThreadControllerImpl::RunTask/.test(event.name) &&
      main.has(`${event.pid}/${event.tid}`),
  )
  // Time on the processor: what others do on this machine is not the page's.
  const took = tasks.map((task) => (task.tdur ?? task.dur ?? 0) / 1_000)
  if (took.length === 0) throw new Error('the trace has no task of the page')
  return { longest: Math.max(...took), busy: took.reduce((sum, one) => sum + one, 0) }
}
