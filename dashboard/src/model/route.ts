/** Addresses within the page: `#/components/shop_web?q=…`. What is filtered stands in them, so that a link shows the same. */
import { signal } from '@preact/signals'

export type View = 'cluster' | 'components' | 'component' | 'sources' | 'activity' | 'logs'

export interface Route {
  view: View
  /** Of a component. */
  name: string
  query: ReadonlyMap<string, string>
}

export function parse(hash: string): Route {
  const [path = '', search = ''] = hash.replace(/^#\/?/, '').split('?', 2)
  const [first = '', second = ''] = path.split('/', 2)
  const query = new Map(new URLSearchParams(search))
  const name = decode(second)
  switch (first) {
    case 'components':
      return name ? { view: 'component', name, query } : { view: 'components', name: '', query }
    case 'sources':
    case 'activity':
    case 'logs':
      return { view: first, name: '', query }
    default:
      return { view: 'cluster', name: '', query }
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export const route = signal<Route>(parse(typeof location === 'undefined' ? '' : location.hash))

if (typeof window !== 'undefined') {
  window.addEventListener('hashchange', () => (route.value = parse(location.hash)))
}

/** The same page with another value in its query; no step in the history. */
export function setQuery(key: string, value: string): void {
  const query = new Map(route.value.query)
  if (value) query.set(key, value)
  else query.delete(key)
  const search = new URLSearchParams([...query]).toString()
  const path = location.hash.split('?', 1)[0] || '#/cluster'
  history.replaceState(null, '', search ? `${path}?${search}` : path)
  route.value = parse(location.hash)
}

export const query = (key: string): string => route.value.query.get(key) ?? ''
