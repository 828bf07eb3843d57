/** Asks for the API token of a node that has one. */
import { useState } from 'preact/hooks'
import { signIn, wanted } from '../live/session'

const REASONS = {
  missing: 'This node asks for its API token.',
  wrong: 'The node does not take this token.',
  left: 'You are signed out. The token is forgotten.',
}

export function SignIn() {
  const [token, setToken] = useState('')
  return (
    <main class="signin">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (token.trim()) signIn(token)
        }}
      >
        <h1>Maelstrom</h1>
        <p>{REASONS[wanted.value ?? 'missing']}</p>
        <label>
          Token
          <input
            type="password"
            name="token"
            autocomplete="current-password"
            autofocus
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
            aria-invalid={wanted.value === 'wrong'}
            spellcheck={false}
          />
        </label>
        <button type="submit" class="primary">
          Sign in
        </button>
        <small>It is kept in the memory of this page alone and forgotten when the page is closed or reloaded.</small>
      </form>
    </main>
  )
}
