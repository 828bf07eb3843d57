/** Draws a part again only when one of its properties is another one. */
import { Component, createElement, type ComponentChildren, type FunctionComponent } from 'preact'

export function memo<P extends object>(part: (props: P) => ComponentChildren): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const now = this.props as Record<string, unknown>
      const then = next as Record<string, unknown>
      for (const key in then) if (then[key] !== now[key]) return true
      for (const key in now) if (!(key in then)) return true
      return false
    }

    override render(props: P) {
      return createElement(part as FunctionComponent<P>, props)
    }
  }
  return Memo as unknown as FunctionComponent<P>
}
