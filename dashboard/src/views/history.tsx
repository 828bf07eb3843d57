/** The charts of a component: what its nodes remember of the last hour, and what came since the page was opened. */
import { useEffect, useMemo, useState } from 'preact/hooks'
import { now, cluster } from '../live/feed'
import { call } from '../live/rpc'
import type { History, HistorySample, JournalEvent } from '../live/wire'
import { millis, rate } from '../model/format'
import { bridged, minutesOf } from '../model/history'
import type { Row } from '../model/rows'
import { Failure } from '../parts/basics'
import { Chart } from '../parts/chart'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

export function Charts({ name, row, marks }: { name: string; row: Row; marks: readonly JournalEvent[] }) {
  const [history, setHistory] = useState<History>()
  const [error, setError] = useState('')
  const step = history?.stepMillis ?? 10_000
  // Anew with each step: the nodes sum up, and what this page missed while it was hidden is there.
  const turn = Math.floor(cluster.time.value / step)
  useEffect(() => {
    let gone = false
    call<History>('MaelstromService.ReadHistory', { name }).then(
      (told) => {
        if (gone) return
        setHistory(told)
        setError('')
      },
      (failure: Error) => !gone && setError(failure.message),
    )
    return () => {
      gone = true
    }
  }, [name, turn])
  const to = Math.max(cluster.time.value, history?.samples.at(-1)?.time ?? 0) || now()
  const samples = useMemo(() => bridged(history?.samples ?? [], step, to - HOUR, to), [history, Math.floor(to / step)])
  const times = useMemo(() => samples.map((sample) => sample.time), [samples])
  const of = (key: keyof HistorySample) => samples.map((sample) => sample[key])
  const series = useMemo(
    () => ({
      requests: [
        { name: 'requests', values: of('requestsPerSecond'), look: 'main' as const },
        { name: 'errors', values: of('errorsPerSecond'), look: 'bad' as const },
      ],
      latency: [
        { name: 'p50', values: of('p50'), look: 'main' as const },
        { name: 'p99', values: of('p99'), look: 'second' as const },
      ],
      concurrency: [
        { name: 'in flight', values: of('inFlight'), look: 'main' as const },
        { name: 'waiting', values: of('waiting'), look: 'bad' as const },
        {
          name: 'capacity',
          values: samples.map((sample) => sample.instances * row.component.maxConcurrency),
          look: 'limit' as const,
          steps: true,
        },
      ],
      instances: [{ name: 'instances', values: of('instances'), look: 'main' as const, steps: true }],
    }),
    [samples, row.component.maxConcurrency],
  )
  const minutes = minutesOf(samples, to)
  const common = { times, marks, from: to - minutes * MINUTE, to }
  const whole = (value: number) => rate(Math.round(value * 10) / 10)
  return (
    <section aria-labelledby="charts">
      <h2 id="charts">
        {minutes === 60 ? 'Last hour' : `Last ${minutes} minutes`} <small>dots mark starts, scaling and deploys</small>
      </h2>
      {error && <Failure what="The last hour can't be shown:" error={error} />}
      {history?.missing && history.missing.length > 0 && (
        <p class="note">
          Without the numbers of {history.missing.map((node) => node.nodeId).join(', ')}, which did not answer.
        </p>
      )}
      <div class="charts">
        <Chart title="Requests per second" series={series.requests} show={rate} {...common} />
        <Chart title="Latency, about" series={series.latency} show={millis} least={10} {...common} />
        <Chart title="Concurrency" series={series.concurrency} show={whole} {...common} />
        <Chart title="Instances" series={series.instances} show={whole} least={2} {...common} />
      </div>
    </section>
  )
}
