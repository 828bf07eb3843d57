/** Numbers, times and sizes as people read them. */

/** Three significant digits at most: 0.4, 12.5, 1 240, 18.2 k. */
export function rate(value: number): string {
  if (value === 0) return '0'
  if (value < 0.05) return '<0.1'
  if (value < 100) return trim(value, 1)
  if (value < 10_000) return grouped(Math.round(value))
  if (value < 1e6) return `${trim(value / 1e3, 1)} k`
  return `${trim(value / 1e6, 1)} M`
}

export const count = (value: number): string => grouped(value)

export function millis(value: number | undefined): string {
  if (value === undefined) return '–'
  if (value < 1) return `${trim(value, 1)} ms`
  if (value < 1_000) return `${Math.round(value)} ms`
  if (value < 60_000) return `${trim(value / 1_000, 1)} s`
  return `${trim(value / 60_000, 1)} min`
}

export function mib(value: number): string {
  return value < 1_024 ? `${grouped(value)} MiB` : `${trim(value / 1_024, 1)} GiB`
}

export function percent(part: number, whole: number): string {
  if (whole <= 0) return '0 %'
  const value = (part / whole) * 100
  if (value === 0) return '0 %'
  if (value < 0.1) return '<0.1 %'
  return `${trim(value, value < 10 ? 1 : 0)} %`
}

/** A span of time: one unit while it is short, two when it is long. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000))
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`
  const days = Math.floor(hours / 24)
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`
}

export const ago = (time: number, now: number): string =>
  time <= 0 ? 'never' : now - time < 1_500 ? 'now' : `${span(now - time)} ago`

/** Later than now. */
export const until = (time: number, now: number): string => (time - now < 1_000 ? 'now' : `in ${span(time - now)}`)

export function clock(time: number): string {
  const at = new Date(time)
  const two = (n: number) => String(n).padStart(2, '0')
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
}

/** A time to come: of another day with its day. */
export function at(time: number, now: number): string {
  if (new Date(time).toDateString() === new Date(now).toDateString()) return clock(time)
  return `${new Date(time).toLocaleDateString('en', { weekday: 'short' })} ${clock(time).slice(0, 5)}`
}

export const moment = (time: number): string => new Date(time).toLocaleString()

export const plural = (n: number, one: string, many = `${one}s`): string => `${grouped(n)} ${n === 1 ? one : many}`

function trim(value: number, digits: number): string {
  return value.toFixed(digits).replace(/\.0+$/, '')
}

/** A thin space between thousands: no country's comma or point. */
function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, '\u2009')
}

/** A hue of the component's own, the same on each page and at each visit. */
export function hue(name: string): number {
  let hash = 2_166_136_261
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 16_777_619)
  // The golden angle keeps neighbours apart; 24 hues are as many as eyes tell apart.
  return ((hash >>> 8) % 24) * 15
}

/** `shop_web` of project `shop` is `web` where the project is said beside it. */
export function short(name: string, project: string | undefined): string {
  return project && name.startsWith(`${project}_`) ? name.slice(project.length + 1) : name
}
