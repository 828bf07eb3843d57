/** The frame around the views: where one is, whether the data is live, and how to get elsewhere. */
import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { judged } from './derived'
import { age, heard, link, cluster, tick, trouble } from './live/feed'
import { access, signOut, wanted } from './live/session'
import { span } from './model/format'
import { route, type View } from './model/route'
import { Mark } from './parts/basics'
import { theme, turn } from './theme'
import { ActivityView } from './views/activity'
import { ClusterView } from './views/cluster'
import { ComponentView } from './views/component'
import { ComponentsView } from './views/components'
import { LogsView } from './views/logs'
import { SignIn } from './views/signin'
import { SourcesView } from './views/sources'

const TABS: { view: View; title: string; icon: string }[] = [
  { view: 'cluster', title: 'Cluster', icon: 'M3 4h14v5H3zM3 11h14v5H3zM6 6.5h.1M6 13.5h.1' },
  {
    view: 'components',
    title: 'Components',
    icon: 'M10 2.5l6.5 3.7v7.6L10 17.5l-6.5-3.7V6.2zM3.5 6.2L10 10l6.5-3.8M10 10v7.5',
  },
  { view: 'sources', title: 'Sources', icon: 'M11 2.5L4.5 11.5H10l-1 6 6.5-9H10z' },
  { view: 'activity', title: 'Activity', icon: 'M2.5 10h4l2-6 3.5 12 2-6h3.5' },
  { view: 'logs', title: 'Logs', icon: 'M3 5h14M3 10h9M3 15h12' },
]

const TITLES: Record<View, string> = {
  cluster: 'Cluster',
  components: 'Components',
  component: 'Component',
  sources: 'Event sources',
  activity: 'Activity',
  logs: 'Logs',
}

const helping = signal(false)

export function App() {
  if (wanted.value) return <SignIn />
  return <Frame />
}

function Frame() {
  const { view, name } = route.value
  const main = useRef<HTMLElement>(null)
  const first = useRef(true)
  const title = view === 'component' ? name : TITLES[view]
  useEffect(() => {
    document.title = `${title} · Maelstrom`
    window.scrollTo(0, 0)
    // A screen reader goes on where the new page begins; not when the dashboard is opened.
    if (!first.current) main.current?.focus({ preventScroll: true })
    first.current = false
  }, [view, name])
  useEffect(() => {
    window.addEventListener('keydown', shortcut)
    return () => window.removeEventListener('keydown', shortcut)
  }, [])
  const at = view === 'component' ? 'components' : view
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        To the content
      </a>
      <header class="top">
        <a class="brand" href="#/cluster" aria-label="Maelstrom, cluster">
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <path d="M2.5 4h15M4.5 8h11M7 12h6.5M9 16h2.5" />
          </svg>
          <span>Maelstrom</span>
        </a>
        <nav class="tabs" aria-label="Views">
          {TABS.map(({ view: own, title: label, icon }) => (
            <a key={own} href={`#/${own}`} aria-current={own === at ? 'page' : undefined}>
              <svg viewBox="0 0 20 20" aria-hidden="true">
                <path d={icon} />
              </svg>
              <span>{label}</span>
              {own === 'cluster' && <Alarm />}
            </a>
          ))}
        </nav>
        <div class="right">
          <Connection />
          {access.value === 'read' && (
            <span class="badge plain" title="This token may look and change nothing.">
              read only
            </span>
          )}
          {access.value !== 'open' && (
            <button type="button" class="icon" onClick={signOut} title="Sign out" aria-label="Sign out">
              <svg viewBox="0 0 20 20" aria-hidden="true">
                <path d="M8 3H4v14h4M8.5 10H17M13.5 6.5L17 10l-3.5 3.5" />
              </svg>
            </button>
          )}
          <button
            type="button"
            class="icon"
            onClick={turn}
            title={`Colours: ${theme.value}`}
            aria-label={`Colours: ${theme.value}. Change`}
          >
            <svg viewBox="0 0 20 20" aria-hidden="true">
              <path
                d={
                  theme.value === 'dark'
                    ? 'M15.5 12A6.5 6.5 0 0 1 8 4.5 6.5 6.5 0 1 0 15.5 12z'
                    : theme.value === 'light'
                      ? 'M10 6.5a3.5 3.5 0 1 0 .01 0M10 1.5v2M10 16.5v2M1.5 10h2M16.5 10h2M4 4l1.4 1.4M14.6 14.6L16 16M4 16l1.4-1.4M14.6 5.4L16 4'
                      : 'M3 4h14v9H3zM7 16.5h6'
                }
              />
            </svg>
          </button>
          <button
            type="button"
            class="icon keys"
            onClick={() => (helping.value = true)}
            title="Keys ( ? )"
            aria-label="Keys"
          >
            <svg viewBox="0 0 20 20" aria-hidden="true">
              <path d="M7.5 7.5a2.5 2.5 0 1 1 3.6 2.3c-.8.4-1.1.9-1.1 1.7M10 14.4v.2" />
            </svg>
          </button>
        </div>
      </header>
      <Stale />
      <main
        id="main"
        ref={main}
        tabIndex={-1}
        class={heard.value === 0 ? 'waiting' : link.value === 'live' ? '' : 'stale'}
      >
        {heard.value === 0 ? <Waiting /> : <Body />}
      </main>
      <footer>
        {cluster.node.value && (
          <>
            told by node <b>{cluster.node.value}</b>, Maelstrom {cluster.version.value}
          </>
        )}
      </footer>
      {helping.value && <Help />}
    </>
  )
}

function Body() {
  switch (route.value.view) {
    case 'cluster':
      return <ClusterView />
    case 'components':
      return <ComponentsView />
    case 'component':
      return <ComponentView name={route.value.name} key={route.value.name} />
    case 'sources':
      return <SourcesView />
    case 'activity':
      return <ActivityView />
    case 'logs':
      return <LogsView />
  }
}

/** On every view: that something is wrong. */
function Alarm() {
  const bad = judged.value.problems.filter((problem) => problem.level === 'bad').length
  if (bad === 0 || heard.value === 0) return null
  return (
    <b class="alarm" aria-label={`, ${bad} problems`}>
      {bad}
    </b>
  )
}

function Connection() {
  const live = link.value === 'live'
  if (!live) tick.value
  return (
    <span class={`connection ${link.value}`}>
      <i aria-hidden="true" />
      {live
        ? 'live'
        : link.value === 'connecting'
          ? 'connecting'
          : heard.value === 0
            ? 'no connection'
            : `${span(age())} old`}
    </span>
  )
}

/** Above everything that is not true any more. */
function Stale() {
  if (link.value !== 'lost' || heard.value === 0) return null
  tick.value
  return (
    <div class="notice bad stale" role="alert">
      <Mark tone="bad" />
      <p>
        <b>The connection to {cluster.node.value} is lost.</b> What stands here is as it was{' '}
        <span aria-hidden="true">{span(age())} ago</span>. Trying again: {trouble.value}.
      </p>
    </div>
  )
}

function Waiting() {
  if (link.value === 'connecting') return <p class="loading">Asking the node…</p>
  return (
    <div class="empty">
      <h3>The node does not answer</h3>
      <p>{trouble.value}</p>
      <p>
        The page tries on by itself. If it stays like this: does maelstromd run there (
        <code>systemctl status maelstromd</code>), and does <code>maelctl version</code> reach it?
      </p>
    </div>
  )
}

const KEYS: [string, string][] = [
  ['1 … 5', 'the views, in their order'],
  ['/', 'filter what is shown'],
  ['Esc', 'clear the filter, leave a chart'],
  ['← →', 'through a chart that has the focus'],
  ['t', 'light, dark, or as the system says'],
  ['?', 'this list'],
]

function Help() {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => dialog.current?.showModal(), [])
  return (
    <dialog ref={dialog} onClose={() => (helping.value = false)} aria-labelledby="keys">
      <h2 id="keys">Keys</h2>
      <dl>
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button type="submit" class="primary">
          Close
        </button>
      </form>
    </dialog>
  )
}

function shortcut(event: KeyboardEvent): void {
  const target = event.target as HTMLElement
  if (
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) ||
    helping.value
  )
    return
  const tab = TABS[Number(event.key) - 1]
  if (tab) location.hash = `#/${tab.view}`
  else if (event.key === '/') document.querySelector<HTMLInputElement>('[data-filter]')?.focus()
  else if (event.key === 't') turn()
  else if (event.key === '?') helping.value = true
  else return
  event.preventDefault()
}
