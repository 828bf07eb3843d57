/** What the cluster decided and why, newest first. */
import { useState } from 'preact/hooks'
import { cluster } from '../live/feed'
import { eventKey } from '../live/state'
import type { JournalEvent } from '../live/wire'
import { chosen, GROUPS, type Group, kind, phases } from '../model/activity'
import { clock, millis, moment } from '../model/format'
import { query, setQuery } from '../model/route'
import { memo } from '../parts/memo'
import { Ago, ComponentLink, Empty, Filter, Mark, Select } from '../parts/basics'

/** Each of them tells its age: more at a time cost more than anybody reads. */
const PAGE = 50

export function ActivityView() {
  const [pages, setPages] = useState(1)
  const all = cluster.events.value
  const group = query('kind') as Group | ''
  const events = chosen(all, { words: query('q'), group })
  const shown = events.slice(0, pages * PAGE)
  return (
    <>
      <header class="bar">
        <h1>
          Activity <small>{events.length === all.length ? all.length : `${events.length} of ${all.length}`}</small>
        </h1>
        <Filter label="Filter activity" value={query('q')} set={(words) => setQuery('q', words)} />
        <Select
          label="Kind"
          value={group}
          set={(value) => setQuery('kind', value)}
          options={[['', 'All kinds'], ...(Object.entries(GROUPS) as [Group, string][])]}
        />
      </header>
      {shown.length === 0 ? (
        <Empty title={all.length ? 'Nothing matches' : 'Nothing has happened yet'}>
          <p>
            {all.length
              ? 'Clear the filter to see everything.'
              : 'Starts, scaling, deploys and failures are told here with their reasons, as they happen.'}
          </p>
        </Empty>
      ) : (
        <Timeline events={shown} />
      )}
      {events.length > shown.length && (
        <button type="button" class="more" onClick={() => setPages(pages + 1)}>
          Show {Math.min(PAGE, events.length - shown.length)} older
        </button>
      )}
    </>
  )
}

export function Timeline({ events }: { events: readonly JournalEvent[] }) {
  return (
    <ol class="timeline">
      {events.map((event) => (
        <EventItem key={eventKey(event)} event={event} short={false} />
      ))}
    </ol>
  )
}

export const EventItem = memo(function EventItem({ event, short }: { event: JournalEvent; short: boolean }) {
  const { label, tone } = kind(event)
  return (
    <li class={`event ${tone}`}>
      <Mark tone={tone} />
      <div>
        <p class="what">
          <b>{label}</b> {event.message}
        </p>
        {!short && <Reasons event={event} />}
        {!short && <Waterfall event={event} />}
        <p class="where">
          {event.componentName && <ComponentLink name={event.componentName} />}
          <span>{event.nodeId}</span>
          {short && <Ago time={event.time} />}
        </p>
      </div>
      {!short && (
        <p class="at">
          <time title={moment(event.time)}>{clock(event.time)}</time>
          <Ago time={event.time} />
        </p>
      )}
    </li>
  )
})

function Reasons({ event }: { event: JournalEvent }) {
  if (!event.reasons?.length) return null
  return (
    <ul class="reasons">
      {event.reasons.map((reason, i) => (
        <li key={i}>{reason}</li>
      ))}
    </ul>
  )
}

/** Each phase with its time and a bar that begins where the one before ended. */
function Waterfall({ event }: { event: JournalEvent }) {
  const found = phases(event)
  const total = found.reduce((sum, phase) => sum + phase.millis, 0)
  if (total === 0) return null
  return (
    <dl class="waterfall">
      {found.map((phase) => (
        <div key={phase.name}>
          <dt>{phase.name}</dt>
          <dd>
            <span class="track" aria-hidden="true">
              <i
                style={{
                  left: `${(phase.at / total) * 100}%`,
                  width: `${Math.max((phase.millis / total) * 100, 0.5)}%`,
                }}
              />
            </span>
            <span>{millis(phase.millis)}</span>
          </dd>
        </div>
      ))}
    </dl>
  )
}
