/** A component's configuration as it may be seen over a shoulder. */

const SECRET = /^(\s*pullpassword:\s*).+$/
const LIST = /^(\s*)environment:\s*$/

/** The same text with the values of the environment and passwords hidden. */
export function hidden(yaml: string): string {
  let depth = -1
  // Of a value that goes on over several lines nothing is shown.
  let inValue = false
  const lines: string[] = []
  for (const line of yaml.split('\n')) {
    const indent = line.length - line.trimStart().length
    const item = line.trimStart().startsWith('- ')
    if (depth >= 0 && line.trim() !== '' && (indent < depth || (indent === depth && !item))) depth = -1
    if (depth >= 0) {
      if (item) {
        lines.push(line.replace(/=.*$/, '=••••'))
        inValue = true
        continue
      }
      if (inValue) continue
    }
    const list = LIST.exec(line)
    if (list) {
      depth = (list[1] ?? '').length
      inValue = false
    }
    lines.push(line.replace(SECRET, '$1••••'))
  }
  return lines.join('\n')
}
