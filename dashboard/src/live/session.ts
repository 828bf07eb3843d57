/**
 * The API token, if the node asks for one. In this module's memory alone: never in an address, and in no
 * storage, since components that are reached by the private port share this origin and its storage.
 */
import { signal } from '@preact/signals'

let token: string | undefined

/** Why the operator is asked for a token; `undefined`: no need. */
export const wanted = signal<'missing' | 'wrong' | undefined>(undefined)

export function signIn(given: string): void {
  token = given.trim()
  wanted.value = undefined
}

/** A request of this origin, with the token. A refusal asks for it and fails like any other error. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers)
  const sent = token
  if (sent) headers.set('Authorization', `Bearer ${sent}`)
  const response = await fetch(path, { ...init, headers, credentials: 'omit', cache: 'no-store', redirect: 'error' })
  if (response.status === 401) {
    // One that was entered while this request was under way is not judged by it.
    if (sent === token) wanted.value = sent ? 'wrong' : 'missing'
    throw new Error('this node asks for a token')
  }
  return response
}

/** Addresses are relative to the page's folder, `…/_mael/ui/`. */
export const address = {
  live: '../v1/live',
  rpc: '../v1',
  logs: '../logs',
}
