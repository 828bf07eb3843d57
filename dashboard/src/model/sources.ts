/** Event sources as lists show them. */
import type { Source } from '../live/wire'

/** As the API names the types. */
export type SourceKind = 'http' | 'cron' | 'sqs' | 'awsstepfunc'

export const KIND_NAMES: Record<SourceKind, string> = {
  http: 'HTTP',
  cron: 'Cron',
  sqs: 'SQS',
  awsstepfunc: 'Step Functions',
}

export function kindOf(source: Source): SourceKind {
  return source.http ? 'http' : source.cron ? 'cron' : source.sqs ? 'sqs' : 'awsstepfunc'
}

/** By component, then by name. */
export function chosenSources(sources: readonly Source[], words: string, type: SourceKind | ''): Source[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
  const key = (source: Source) => `${source.componentName}\u0000${source.name}`
  return sources
    .filter((source) => {
      if (type && kindOf(source) !== type) return false
      const about = [
        source.http?.hostname,
        source.http?.pathPrefix,
        source.cron?.schedule,
        source.sqs?.queueName,
        source.awsstepfunc?.activityName,
      ]
      const text =
        `${source.name} ${source.componentName} ${about.join(' ')} ${source.enabled ? 'enabled' : 'disabled'}`.toLowerCase()
      return wanted.every((word) => text.includes(word))
    })
    .sort((a, b) => (key(a) < key(b) ? -1 : 1))
}
