/** Real daemons with real containers for the browser's tests: the programs that `make test` built. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PROGRAMS = process.env.MAEL_TEST_PROGRAMS ?? join(import.meta.dirname, '../../target/debug')
export const APP = 'maelstrom-test/app:1'
export const APP_NEXT = 'maelstrom-test/app:2'
/** Long enough for a loaded machine that starts containers. */
const LONG = 60_000

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** Looks until it is so. */
export async function until(what: string, probe: () => Promise<boolean>, limit = LONG): Promise<void> {
  const end = Date.now() + limit
  let last: unknown
  for (;;) {
    try {
      if (await probe()) return
    } catch (error) {
      last = error
    }
    if (Date.now() > end) throw new Error(`waited ${limit} ms for ${what}, and it did not come`, { cause: last })
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Makes the table that the nodes of a cluster share. */
export function initStore(environment: Record<string, string>): void {
  const { PATH } = process.env
  execFileSync(join(PROGRAMS, 'maelctl'), ['store', 'init', environment.MAEL_STORE ?? ''], {
    env: { PATH, ...environment },
    timeout: LONG,
  })
}

export class Daemon {
  #process: ChildProcess | undefined

  private constructor(
    readonly node: string,
    readonly folder: string,
    readonly publicPort: number,
    readonly privatePort: number,
    readonly environment: Record<string, string>,
  ) {}

  /** `store`: for a cluster; else a file of its own. */
  static async start(name: string, more: Record<string, string> = {}): Promise<Daemon> {
    const folder = mkdtempSync(join(tmpdir(), 'maelstrom-browser-'))
    const daemon = new Daemon(`${name}-${process.pid}`, folder, await freePort(), await freePort(), {
      MAEL_STORE: `sqlite:${join(folder, 'store.db')}`,
      MAEL_TOTAL_MEMORY: '2048',
      ...more,
    })
    await daemon.run()
    return daemon
  }

  get ui(): string {
    return `http://127.0.0.1:${this.privatePort}/_mael/ui/`
  }

  get public(): string {
    return `http://127.0.0.1:${this.publicPort}`
  }

  async run(): Promise<void> {
    const program = join(PROGRAMS, 'maelstromd')
    if (!existsSync(program)) throw new Error(`${program} is missing: cargo build makes it`)
    const log = openSync(join(this.folder, 'log.txt'), 'a')
    const { PATH, DOCKER_HOST } = process.env
    this.#process = spawn(program, {
      cwd: this.folder,
      stdio: ['ignore', log, log],
      env: {
        PATH,
        ...(DOCKER_HOST && { DOCKER_HOST }),
        MAEL_NODE_ID: this.node,
        MAEL_PUBLIC_PORT: String(this.publicPort),
        MAEL_PRIVATE_PORT: String(this.privatePort),
        MAEL_PUBLIC_HTTPS_PORT: '0',
        MAEL_PEER_URL: `http://127.0.0.1:${this.privatePort}`,
        ...this.environment,
      },
    })
    const healthy = async () => {
      if (this.#process?.exitCode != null) throw new Error(`maelstromd ended:\n${this.log}`)
      return (await fetch(`${this.public}/_mael_health_check`)).ok
    }
    await until(`${this.node} to answer`, healthy).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.log}`)
    })
  }

  get log(): string {
    return readFileSync(join(this.folder, 'log.txt'), 'utf8').split('\n').slice(-40).join('\n')
  }

  async call<T>(method: string, input: object): Promise<T> {
    const token = this.environment.MAEL_API_TOKEN
    const response = await fetch(`http://127.0.0.1:${this.privatePort}/_mael/v1`, {
      method: 'POST',
      headers: token ? { Authorization: `Bearer ${token}` } : {},
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: [input] }),
    })
    const answer = (await response.json()) as { result: T; error?: { message: string } }
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`)
    return answer.result
  }

  /** A component of the test's service, of whatever version it has by now plus one. */
  async put(name: string, image: string, more: object = {}, docker: object = {}): Promise<void> {
    const { components } = await this.call<{ components: { name: string; version: number }[] }>(
      'MaelstromService.ListComponents',
      {},
    )
    const version = components.find((component) => component.name === name)?.version ?? 0
    const component = {
      name,
      projectName: 'shop',
      environment: [{ name: 'GREETING', value: 'a-secret' }],
      maxConcurrency: 4,
      version,
      ...more,
      docker: {
        image,
        httpPort: 8080,
        httpHealthCheckPath: '/health',
        reserveMemoryMiB: 64,
        idleTimeoutSeconds: 120,
        ...docker,
      },
    }
    await this.call('MaelstromService.PutComponent', { component })
  }

  async source(name: string, componentName: string, kind: object): Promise<void> {
    await this.call('MaelstromService.PutEventSource', {
      eventSource: { name, componentName, projectName: 'shop', version: 0, modifiedAt: 0, ...kind },
    })
  }

  signal(name: NodeJS.Signals): void {
    this.#process?.kill(name)
  }

  async ended(): Promise<void> {
    const child = this.#process
    await until(`${this.node} to end`, () => Promise.resolve(child?.exitCode != null || child?.signalCode != null))
  }

  /** With these variables from now on. */
  async restart(more: Record<string, string>): Promise<void> {
    this.signal('SIGTERM')
    await this.ended()
    Object.assign(this.environment, more)
    await this.run()
  }

  /** Its containers stop with it. */
  async stop(): Promise<void> {
    if (this.#process?.exitCode != null || this.#process?.signalCode != null) await this.run()
    this.signal('SIGTERM')
    await this.ended()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Requests without end, some at a time with a pause after each, until it is stopped. */
export function traffic(url: () => string, atOnce: number, pause = 0): () => Promise<void> {
  let over = false
  const one = async () => {
    while (!over) {
      try {
        await (await fetch(url())).text()
        if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause))
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
  }
  const all = Array.from({ length: atOnce }, one)
  return async () => {
    over = true
    await Promise.all(all)
  }
}
