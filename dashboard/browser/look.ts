/** Each view in both colours on both sizes, as pictures to look at. */
import type { Browser } from 'playwright-core'
import { type Colours, open, shoot, type Size } from './page'

export interface ViewToSee {
  name: string
  hash: string
  /** Is there when the view is. */
  ready: string
}

export async function shootAll(
  browser: Browser,
  address: string,
  prefix: string,
  views: ViewToSee[],
): Promise<string[]> {
  const complaints: string[] = []
  for (const size of ['desktop', 'phone'] as Size[]) {
    for (const colours of ['light', 'dark'] as Colours[]) {
      const opened = await open(browser, address, size, colours)
      for (const { name, hash, ready } of views) {
        await opened.page.evaluate((hash) => void (location.hash = hash), hash)
        await opened.page.locator(ready).first().waitFor()
        // Lines, samples and letters that come a moment later.
        await opened.page.waitForTimeout(400)
        await shoot(opened.page, `${prefix}-${name}-${colours}-${size}`)
      }
      complaints.push(...opened.complaints)
      await opened.context.close()
    }
  }
  return complaints
}
