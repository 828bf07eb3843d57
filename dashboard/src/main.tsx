import { render } from 'preact'
import { App } from './app'
import { start } from './live/feed'
import './style.css'

start()
render(<App />, document.getElementById('app') as HTMLElement)
