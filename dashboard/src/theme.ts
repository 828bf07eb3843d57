/** Light or dark: as the system says, or as chosen here. */
import { effect, signal } from '@preact/signals'

export type Theme = 'system' | 'light' | 'dark'

const KEY = 'maelstrom.theme'
const ALL: Theme[] = ['system', 'light', 'dark']

function remembered(): Theme {
  try {
    return ALL.find((theme) => theme === localStorage.getItem(KEY)) ?? 'system'
  } catch {
    // A browser may keep nothing.
    return 'system'
  }
}

export const theme = signal<Theme>(remembered())

effect(() => {
  document.documentElement.dataset.theme = theme.value
  try {
    localStorage.setItem(KEY, theme.value)
  } catch {
    // It holds for this page.
  }
})

export const turn = () => (theme.value = ALL[(ALL.indexOf(theme.value) + 1) % ALL.length] as Theme)
