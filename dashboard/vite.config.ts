import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

const OUT = 'dist'

/** Empties the folder but for what keeps it in the repository. */
function clean(): Plugin {
  return {
    name: 'clean',
    apply: 'build',
    buildStart() {
      for (const name of readdirSync(OUT)) {
        if (name !== '.gitignore') rmSync(join(OUT, name), { recursive: true })
      }
    },
  }
}

/** Puts compressed twins beside the files: the daemon sends them as they are. */
function compress(): Plugin {
  return {
    name: 'compress',
    apply: 'build',
    closeBundle() {
      for (const name of readdirSync(OUT, { recursive: true, encoding: 'utf8' })) {
        if (!/\.(js|css|html|svg)$/.test(name)) continue
        const file = join(OUT, name)
        const bytes = readFileSync(file)
        writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }))
        const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length }
        writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params }))
      }
    },
  }
}

const daemon = process.env.MAELSTROM_PRIVATE_URL ?? 'http://127.0.0.1:8374'

export default defineConfig(({ command }) => ({
  // Relative addresses: the page works behind whatever prefix it is served at.
  base: command === 'build' ? './' : '/_mael/ui/',
  server: { proxy: { '/_mael/v1': daemon, '/_mael/logs': daemon } },
  plugins: [clean(), compress()],
  build: {
    outDir: OUT,
    emptyOutDir: false,
    target: 'es2022',
    // Nothing inline: the content security policy allows no data URLs for what could be a script.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  test: { include: ['test/**/*.test.ts'] },
}))
