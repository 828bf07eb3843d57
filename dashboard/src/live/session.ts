/**
 * The API token, if the node asks for one. In this module's memory alone: never in an address, and in no
 * storage and no cookie, since components that are reached by the private port share this origin, its storage
 * and its cookies.
 */
import { signal } from '@preact/signals'

let token: string | undefined

/** Why the operator is asked for a token; `undefined`: no need. */
export const wanted = signal<'missing' | 'wrong' | 'left' | undefined>(undefined)

/** What the node lets this page do; `open`: it asks nobody for a token. */
export const access = signal<'open' | 'read' | 'change'>('open')

export function signIn(given: string): void {
  token = given.trim()
  wanted.value = undefined
}

/** Forgets the token; what was shown with it goes as well. */
export function signOut(): void {
  token = undefined
  access.value = 'open'
  wanted.value = 'left'
}

/** A request of this origin, with the token. A refusal asks for it and fails like any other error. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers)
  const sent = token
  if (sent) headers.set('Authorization', `Bearer ${sent}`)
  const response = await fetch(path, { ...init, headers, credentials: 'omit', cache: 'no-store', redirect: 'error' })
  // One that was entered, or forgotten, while this request was under way is not judged by it.
  if (sent !== token) {
    await response.body?.cancel()
    throw new Error('somebody else is signed in by now')
  }
  if (response.status === 401) {
    wanted.value = sent ? 'wrong' : 'missing'
    throw new Error('this node asks for a token')
  }
  const granted = response.headers.get('Maelstrom-Access')
  access.value = granted === null ? 'open' : granted === 'read' ? 'read' : 'change'
  return response
}

/** Addresses are relative to the page's folder, `…/_mael/ui/`. */
export const address = {
  live: '../v1/live',
  rpc: '../v1',
  logs: '../logs',
}
