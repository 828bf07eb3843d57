/** Queues and pollers of one event source. Asked for while it is in sight alone: queues charge for being asked. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { now } from '../live/feed'
import { call, NO_SUCH_METHOD, RpcError } from '../live/rpc'
import type { Described } from '../live/wire'
import { told } from '../model/work'
import { Mark } from '../parts/basics'

const EVERY = 10_000

export function Work({ name }: { name: string }) {
  const place = useRef<HTMLDivElement>(null)
  const [described, setDescribed] = useState<Described>()
  const [trouble, setTrouble] = useState('')
  useEffect(() => {
    const element = place.current
    if (!element) return
    let timer: ReturnType<typeof setTimeout> | undefined
    let seen = false
    const ask = async () => {
      clearTimeout(timer)
      try {
        setDescribed(await call<Described>('MaelstromService.DescribeEventSource', { name }))
        setTrouble('')
      } catch (error) {
        // A node that can't tell has nothing to tell.
        if (error instanceof RpcError && error.code === NO_SUCH_METHOD) return
        setTrouble(error instanceof Error ? error.message : String(error))
      }
      clearTimeout(timer)
      if (seen) timer = setTimeout(() => void ask(), EVERY)
    }
    const observer = new IntersectionObserver(([entry]) => {
      const was = seen
      seen = entry?.isIntersecting ?? false
      if (seen && !was) void ask()
      else if (!seen) clearTimeout(timer)
    })
    observer.observe(element)
    return () => {
      seen = false
      observer.disconnect()
      clearTimeout(timer)
    }
  }, [name])
  const lines = described ? told(described, now()) : []
  return (
    <div ref={place} class="work">
      {lines.map(({ text, bad }) => (
        <p key={text} class={bad ? 'bad' : ''}>
          {bad && <Mark tone="bad" />}
          {text}
        </p>
      ))}
      {trouble && <p class="bad">{trouble}</p>}
    </div>
  )
}
