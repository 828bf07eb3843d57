/** What of a long list is in sight, as the page is scrolled. */
import { useLayoutEffect, useState } from 'preact/hooks'
import type { RefObject } from 'preact'
import { type Range, visible } from '../model/window'

/** `list`: the element that begins where the first row does. Lists of fewer rows than `whole` are drawn as a whole. */
export function useWindow(list: RefObject<HTMLElement | null>, rows: number, rowHeight: number, whole = 60): Range {
  const [range, setRange] = useState<Range>({ from: 0, to: Math.min(rows, whole) })
  useLayoutEffect(() => {
    let frame = 0
    const look = () => {
      frame = 0
      const element = list.current
      if (!element) return
      const offset = Math.max(0, -element.getBoundingClientRect().top)
      const next = rows <= whole ? { from: 0, to: rows } : visible(offset, window.innerHeight, rowHeight, rows)
      setRange((known) => (known.from === next.from && known.to === next.to ? known : next))
    }
    const soon = () => (frame ||= requestAnimationFrame(look))
    look()
    window.addEventListener('scroll', soon, { passive: true })
    window.addEventListener('resize', soon, { passive: true })
    return () => {
      cancelAnimationFrame(frame)
      window.removeEventListener('scroll', soon)
      window.removeEventListener('resize', soon)
    }
  }, [rows, rowHeight, whole])
  // Rows may have gone since it was taken.
  return { from: Math.min(range.from, rows), to: Math.min(range.to, rows) }
}

/** As the style sheet's last step. */
const NARROW = '(max-width: 760px)'

export function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW).matches)
  useLayoutEffect(() => {
    const query = matchMedia(NARROW)
    const look = () => setNarrow(query.matches)
    query.addEventListener('change', look)
    return () => query.removeEventListener('change', look)
  }, [])
  return narrow
}
