/**
 * A node that simulates a cluster: serves what was built and the parts of the API that the page uses, for tests
 * of more nodes, components and trouble than a machine can have.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import type {
  Change,
  Component,
  HistorySample,
  Instance,
  JournalEvent,
  Load,
  Node,
  Section,
  Source,
} from '../src/live/wire'

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}
/** As the daemon sends it. */
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

export interface Options {
  nodes: number
  components: number
  /** Between two changes. */
  millis: number
  /** Asked for with each request. */
  token?: string
  /** What is wrong: a node that is lost, one that drains, a component that fails, one that is overloaded, a deploy. */
  trouble?: boolean
}

const WORDS = [
  'web',
  'api',
  'auth',
  'cart',
  'search',
  'mailer',
  'images',
  'report',
  'billing',
  'feed',
  'thumbs',
  'notify',
  'import',
  'export',
  'admin',
  'catalog',
]
const PROJECTS = ['shop', 'media', 'intern', 'ledger', 'maps', 'chat', 'lab', 'ads', 'fleet', 'docs']

/** The same numbers in each run. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

export class Simulated {
  readonly server: Server
  #random = generator(7)
  #clients = new Set<ServerResponse>()
  #nodes = new Map<string, Node>()
  #instances = new Map<string, Instance>()
  #components = new Map<string, Component>()
  #loads = new Map<string, Load>()
  #sources = new Map<string, Source>()
  #events: JournalEvent[] = []
  #sequence = 0
  #timer: NodeJS.Timeout | undefined
  /** Method and address of each request. */
  readonly asked: string[] = []

  constructor(
    readonly dist: string,
    readonly options: Options,
  ) {
    this.#populate()
    this.server = createServer((request, response) => void this.#answer(request, response))
  }

  async listen(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(port, '127.0.0.1', resolve))
    this.#timer = setInterval(() => this.#turn(), this.options.millis)
    const address = this.server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return `http://127.0.0.1:${address.port}/_mael/ui/`
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.drop()
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }

  /** Breaks all streams. */
  drop(): void {
    for (const client of this.#clients) client.destroy()
    this.#clients.clear()
  }

  #populate(): void {
    const now = Date.now()
    const { nodes, components, trouble } = this.options
    for (let i = 0; i < nodes; i++) {
      const nodeId = `node-${String(i + 1).padStart(nodes > 99 ? 3 : 2, '0')}`
      this.#nodes.set(nodeId, {
        nodeId,
        peerUrl: `http://10.0.${i >> 8}.${i & 255}:8374`,
        startedAt: now - 86_400_000 * (1 + (i % 9)) - i * 61_000,
        totalMemoryMiB: 16_384,
        freeMemoryMiB: 16_384,
        numCPUs: 8,
        load: [1, 1, 1],
        roles:
          i === 0
            ? [
                { role: 'placement', term: 4, since: now - 7_200_000 },
                { role: 'cron', term: 2, since: now - 90_000_000 },
              ]
            : [],
        targets: [],
        failures: [],
      })
    }
    for (let i = 0; i < components; i++) {
      const project = PROJECTS[i % PROJECTS.length] as string
      const word = WORDS[Math.floor(i / PROJECTS.length) % WORDS.length] as string
      const turn = Math.floor(i / (PROJECTS.length * WORDS.length))
      const name = `${project}_${word}${turn ? turn + 1 : ''}`
      this.#components.set(name, {
        name,
        projectName: project,
        version: 1 + (i % 7),
        modifiedAt: now - i * 3_600_000,
        image: `registry.example/${project}/${word}:${1 + (i % 7)}`,
        minInstances: i % 5 === 0 ? 1 : 0,
        maxInstances: 8,
        maxConcurrency: 10,
        scaleUpPct: 70,
        scaleDownPct: 40,
        reserveMemoryMiB: 128 * (1 + (i % 4)),
        idleTimeoutSeconds: 300,
      })
      this.#source(name, project, word, i)
      if (i % 6 === 5) continue
      for (let n = 0; n <= i % 4; n++) this.#start(name, n)
      this.#load(name)
    }
    for (let i = 0; i < 200; i++) this.#happen(now - (200 - i) * 15_000)
    if (trouble) this.#trouble(now)
  }

  #source(name: string, projectName: string, word: string, i: number): void {
    const base = { componentName: name, projectName, enabled: i % 11 !== 3 }
    const source: Source =
      i % 3 !== 2
        ? {
            ...base,
            name: `${name}_http`,
            http: { hostname: `${projectName}.example.com`, pathPrefix: `/${word}`, stripPrefix: i % 2 === 0 },
          }
        : {
            ...base,
            name: `${name}_nightly`,
            cron: { schedule: '15 3 * * *', http: { method: 'POST', path: '/run' } },
            next: [1, 2, 3].map((day) => Date.now() + day * 86_400_000 - 7_000_000),
            last: {
              time: Date.now() - 5_400_000,
              message: i % 4 ? 'answered 200' : 'failed with 502',
              ok: i % 4 !== 0,
            },
          }
    this.#sources.set(source.name, source)
    if (i % 7 === 4) {
      const queue = {
        ...base,
        name: `${name}_jobs`,
        sqs: { queueName: `${projectName}-jobs`, path: '/job', maxConcurrency: 10 },
      }
      this.#sources.set(queue.name, queue)
    }
  }

  #start(name: string, n: number): void {
    const component = this.#components.get(name) as Component
    const nodes = [...this.#nodes.values()]
    const node = nodes[Math.floor(this.#random() * nodes.length)] as Node
    if (node.freeMemoryMiB < component.reserveMemoryMiB) return
    node.freeMemoryMiB -= component.reserveMemoryMiB
    const target = node.targets.find((target) => target.componentName === name)
    if (target) target.targetCount++
    else node.targets.push({ componentName: name, targetCount: 1 })
    const id = `${name}${n}${Math.floor(this.#random() * 1e12).toString(16)}`.padEnd(64, '0')
    this.#instances.set(`${node.nodeId}/${id}`, {
      nodeId: node.nodeId,
      instanceId: id,
      componentName: name,
      componentVersion: component.version,
      status: 'active',
      maxConcurrency: component.maxConcurrency,
      memoryReservedMiB: component.reserveMemoryMiB,
      startTime: Date.now() - Math.floor(this.#random() * 7_200_000),
      inFlight: Math.floor(this.#random() * 6),
      requestsPerSecond: Math.round(this.#random() * 400) / 10,
      lastRequestTime: Date.now() - 1_000,
      address: `172.17.0.${n + 2}:8080`,
    })
  }

  #load(name: string): void {
    const before = this.#loads.get(name)
    const requestsPerSecond = Math.max(
      0,
      (before?.requestsPerSecond ?? this.#random() * 220) + (this.#random() - 0.5) * 14,
    )
    const p50 = 4 + this.#random() * 12
    this.#loads.set(name, {
      inFlight: Math.floor(requestsPerSecond * p50 * 0.002) + Math.floor(this.#random() * 3),
      waiting: 0,
      waitingForMillis: 0,
      requestsPerSecond: Math.round(requestsPerSecond * 10) / 10,
      errorsPerSecond: this.#random() < 0.02 ? Math.round(requestsPerSecond * 0.04) / 10 : 0,
      gonePerSecond: 0,
      p50: Math.round(p50 * 10) / 10,
      p99: Math.round(p50 * (6 + this.#random() * 4)),
    })
  }

  #trouble(now: number): void {
    const nodes = [...this.#nodes.values()]
    const lost = nodes[2]
    if (lost) lost.unreachableSince = now - 14_000
    const leaving = nodes[3]
    if (leaving) leaving.draining = true
    const names = [...this.#components.keys()]
    const failing = names[5] as string
    nodes[0]?.failures.push({
      componentName: failing,
      status: 502,
      reason: "image registry.example/ledger/web:6 can't be pulled: manifest unknown",
      retryAfterMillis: 8_000,
    })
    const busy = this.#loads.get(names[1] as string)
    if (busy) Object.assign(busy, { waiting: 37, waitingForMillis: 4_200, inFlight: 20 })
    const deployed = this.#components.get(names[3] as string)
    if (deployed) deployed.version++
    const entry = (kind: string, componentName: string, message: string, more: Partial<JournalEvent> = {}) => {
      this.#events.push({
        sequence: ++this.#sequence,
        time: Date.now() - 4_000 + this.#sequence,
        nodeId: 'node-01',
        kind,
        componentName,
        message,
        ...more,
      })
    }
    entry('scale', names[1] as string, `${names[1]}: 2 → 4 instances`, {
      reasons: ['20 in flight and 37 waiting of 20 at once: 285 % is over 70 %', 'panic: the queue is 4.2 s old'],
    })
    entry('cold-start', names[6] as string, `${names[6]} was served after 412 ms`, {
      data: {
        totalMs: 412,
        placeMs: 3,
        pullMs: 0,
        createMs: 88,
        startMs: 166,
        probeMs: 131,
        serveMs: 1,
        firstByteMs: 23,
      },
    })
    entry('start-failed', failing, `${failing} could not be started`, {
      reasons: ['manifest unknown', 'next try in 8 s'],
    })
    entry('node', '', "node 'node-03' does not answer", { data: { peer: 'node-03' } })
  }

  #happen(time: number): JournalEvent {
    const names = [...this.#components.keys()]
    const name = names[Math.floor(this.#random() * names.length)] as string
    const kinds: [string, string, string[]][] = [
      ['scale', `${name}: 1 → 2 instances`, ['9 of 10 at once in flight: 90 % is over 70 %']],
      ['placement', `node-01 runs one more of ${name}`, ['most free memory of 3 nodes']],
      ['instance-started', `${name} started in 212 ms`, []],
      ['instance-stopped', `an instance of ${name} stopped`, ['idle for 300 s']],
      ['cron', `cron rule '${name}_nightly' answered 200`, []],
    ]
    const [kind, message, reasons] = kinds[Math.floor(this.#random() * kinds.length)] as [string, string, string[]]
    const event: JournalEvent = {
      sequence: ++this.#sequence,
      time,
      nodeId: 'node-01',
      kind,
      componentName: name,
      message,
      reasons,
    }
    this.#events.push(event)
    if (this.#events.length > 500) this.#events.shift()
    return event
  }

  /** Everything moves: the worst that a cluster does. */
  #turn(): void {
    for (const name of this.#loads.keys()) if (this.#loads.get(name)?.waiting === 0) this.#load(name)
    for (const node of this.#nodes.values()) {
      const one = Math.max(0.1, node.load[0] + (this.#random() - 0.5) * 0.4)
      this.#nodes.set(node.nodeId, { ...node, load: [Math.round(one * 100) / 100, node.load[1], node.load[2]] })
    }
    for (const [key, instance] of this.#instances) {
      this.#instances.set(key, {
        ...instance,
        inFlight: Math.floor(this.#random() * 8),
        requestsPerSecond: Math.round(this.#random() * 400) / 10,
        lastRequestTime: Date.now(),
      })
    }
    const put = <T>(map: ReadonlyMap<string, T>): Section<T> => ({ put: Object.fromEntries(map) })
    const change: Change = {
      time: Date.now(),
      nodes: put(this.#nodes),
      loads: put(this.#loads),
      instances: put(this.#instances),
      events: [this.#happen(Date.now())],
    }
    for (const client of this.#clients) send(client, 'change', change)
  }

  toggle(name: string, enabled: boolean): void {
    const source = this.#sources.get(name)
    if (!source) return
    this.#sources.set(name, { ...source, enabled })
    for (const client of this.#clients)
      send(client, 'change', { time: Date.now(), sources: { put: { [name]: { ...source, enabled } } } })
  }

  #snapshot(): Change {
    const put = <T>(map: ReadonlyMap<string, T>): Section<T> => ({ put: Object.fromEntries(map) })
    return {
      time: Date.now(),
      node: 'node-01',
      version: '0.1.0',
      nodes: put(this.#nodes),
      instances: put(this.#instances),
      components: put(this.#components),
      loads: put(this.#loads),
      sources: put(this.#sources),
      events: this.#events,
      missing: [],
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://node')
    this.asked.push(`${request.method} ${request.url}`)
    if (url.pathname.startsWith('/_mael/ui/'))
      return this.#file(url.pathname.slice('/_mael/ui/'.length) || 'index.html', response)
    if (this.options.token && request.headers.authorization !== `Bearer ${this.options.token}`) {
      response.writeHead(401).end('a token is needed\n')
      return
    }
    if (this.options.token) response.setHeader('Maelstrom-Access', 'change')
    if (url.pathname === '/_mael/v1/live') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
      this.#clients.add(response)
      response.on('close', () => this.#clients.delete(response))
      send(response, 'snapshot', this.#snapshot())
    } else if (url.pathname === '/_mael/logs') {
      this.#logs(url, response)
    } else if (url.pathname === '/_mael/v1') {
      let body = ''
      for await (const part of request) body += String(part)
      const { id, method, params } = JSON.parse(body) as {
        id: number
        method: string
        params: [Record<string, unknown>]
      }
      response
        .writeHead(200, { 'Content-Type': 'application/json' })
        .end(JSON.stringify({ jsonrpc: '2.0', id, result: this.#call(method, params[0]) }))
    } else {
      response.writeHead(404).end()
    }
  }

  async #file(name: string, response: ServerResponse): Promise<void> {
    try {
      const bytes = await readFile(join(this.dist, name.replaceAll('..', '')))
      response
        .writeHead(200, {
          'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream',
          'Content-Security-Policy': POLICY,
        })
        .end(bytes)
    } catch {
      response.writeHead(404).end()
    }
  }

  #call(method: string, input: Record<string, unknown>): unknown {
    const name = String(input.name ?? '')
    switch (method) {
      case 'MaelstromService.ReadHistory':
        return { stepMillis: 10_000, samples: this.#history(name) }
      case 'MaelstromService.ExplainComponent':
        return {
          targetInstances: 2,
          targetReasons: ['12 in flight on average over 60 s, 10 at once per instance, 70 % of it'],
        }
      case 'MaelstromService.DescribeComponent': {
        const { image, maxConcurrency } = this.#components.get(name) as Component
        return {
          yaml: `name: shop\ncomponents:\n  web:\n    image: ${image}\n    environment:\n      - DATABASE_URL=postgres://web:secret@db/web\n      - MODE=fast\n    maxconcurrency: ${maxConcurrency}\n    eventsources:\n      http:\n        http:\n          pathprefix: /web\n`,
        }
      }
      case 'MaelstromService.DescribeEventSource':
        return {
          queues: [
            {
              name: 'jobs',
              depth: 54,
              inFlight: 4,
              delayed: 0,
              oldestAgeSeconds: 42,
              deadLetters: name.startsWith('shop') ? 3 : 0,
            },
          ],
          pollers: [{ nodeId: 'node-01', inFlight: 4, waiting: 0, succeeded: 18_211, failed: 0 }],
        }
      case 'MaelstromService.ToggleEventSources':
        setTimeout(() => this.toggle(name, Boolean(input.enabled)), 300)
        return { enabled: input.enabled, eventSourceNames: [name] }
      default:
        return {}
    }
  }

  #history(name: string): HistorySample[] {
    const load = this.#loads.get(name)
    const random = generator(name.length)
    const end = Math.floor(Date.now() / 10_000) * 10_000
    return Array.from({ length: 300 }, (_, i) => {
      const wave = 1 + Math.sin(i / 28) * 0.5 + (random() - 0.5) * 0.15
      const requestsPerSecond = (load?.requestsPerSecond ?? 0) * wave
      const p50 = 8 * wave + random() * 2
      return {
        time: end - (299 - i) * 10_000,
        requestsPerSecond,
        errorsPerSecond: i > 220 && i < 235 ? requestsPerSecond * 0.1 : 0,
        p50,
        p99: p50 * 6,
        inFlight: requestsPerSecond * 0.04,
        waiting: i === 130 ? 4 : 0,
        instances: wave > 1.2 ? 3 : 2,
      }
    })
  }

  #logs(url: URL, response: ServerResponse): void {
    response.writeHead(200, { 'Content-Type': 'application/json' })
    const wanted = url.searchParams.get('components')
    const names = wanted ? [wanted] : [...this.#components.keys()].slice(0, 12)
    const write = () => {
      const Component = names[Math.floor(this.#random() * names.length)] as string
      const bad = this.#random() < 0.08
      const Data = bad
        ? '<script>alert(1)</script> connection to db refused, trying again in 2 s'
        : `GET /${Component}/items?page=${Math.floor(this.#random() * 40)} 200 ${Math.floor(this.#random() * 30)}ms`
      response.write(`${JSON.stringify({ Node: 'node-01', Component, Stream: bad ? 'stderr' : 'stdout', Data })}\r\n`)
    }
    for (let i = 0; i < 60; i++) write()
    const timer = setInterval(() => (write(), response.write('PING\r\n')), 500)
    response.on('close', () => clearInterval(timer))
  }
}

function send(client: ServerResponse, event: string, change: Change): void {
  client.write(`event: ${event}\ndata: ${JSON.stringify(change)}\n\n`)
}
