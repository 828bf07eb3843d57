/** Calls of the management API: JSON-RPC 2.0, one input object. */
import { address, request } from './session'

const PATIENCE = 10_000

/** An older node. */
export const NO_SUCH_METHOD = -32601

export class RpcError extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message)
  }
}

let calls = 0

export async function call<T>(method: string, input: object): Promise<T> {
  const id = ++calls
  const response = await request(address.rpc, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id, method, params: [input] }),
    signal: AbortSignal.timeout(PATIENCE),
  })
  // What it may not do the node says in the same form.
  if (!response.ok && response.status !== 403) throw new Error(`the node answered ${response.status}`)
  const answer = (await response.json()) as { result?: T; error?: { code: number; message: string } }
  if (answer.error) throw new RpcError(answer.error.code, answer.error.message)
  return answer.result as T
}
