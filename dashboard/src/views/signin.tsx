/** Asks for the API token of a node that has one. */
import { useState } from 'preact/hooks'
import { signIn, wanted } from '../live/session'

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
        <p>{wanted.value === 'wrong' ? 'The node does not take this token.' : 'This node asks for its API token.'}</p>
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
