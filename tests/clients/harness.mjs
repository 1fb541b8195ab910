// What the Node suites share: cases that report themselves, and ways to know instead of to guess. The counterpart
// of harness.py; see there.

import assert from 'node:assert'
import net from 'node:net'
import { readFileSync } from 'node:fs'

export const HOST = '127.0.0.1'
export const PORT = Number(process.env.DISQUE_PORT)
export const LOCKED_PORT = Number(process.env.DISQUE_LOCKED_PORT)
export const PASSWORD = process.env.DISQUE_PASSWORD
export const MEGABYTE = 1024 * 1024

// How long a case waits for what must come; only failing cases wait so long.
const PATIENCE_MS = 20_000

export const equal = assert.deepStrictEqual

export class Suite {
  #queues = 0
  #failed = false

  constructor(name) {
    this.name = name
  }

  /** A queue that no other case uses. */
  queue() {
    this.#queues += 1
    return `${this.name.replaceAll(' ', '-')}-${this.#queues}`
  }

  /** Runs one case; a case that hangs fails like another. */
  async case(claim, action) {
    const begin = performance.now()
    let timer
    const hangs = new Promise((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error('the case hangs')), PATIENCE_MS + 10_000)
    })
    try {
      await Promise.race([action(), hangs])
      const seconds = (performance.now() - begin) / 1000
      this.#say('ok', seconds < 1 ? claim : `${claim} [${seconds.toFixed(1)} s]`)
    } catch (error) {
      this.#failed = true
      this.#say('not ok', `${claim}: ${String(error).slice(0, 300)}`)
      console.error(error)
    } finally {
      clearTimeout(timer)
    }
  }

  #say(verdict, text) {
    console.log(verdict, `${this.name}: ${text}`.replaceAll(/\s*\n\s*/g, ' '))
  }

  /** Ends the process: the libraries may still have timers that would keep it. */
  end() {
    process.exit(this.#failed ? 1 : 0)
  }
}

/** The version that is installed of a package. */
export function installed(name) {
  return JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version
}

/** The promise must be refused with an error whose text is like this. */
export async function refused(pattern, promise) {
  let value
  try {
    value = await promise
  } catch (error) {
    assert.match(String(error.message), pattern)
    return
  }
  throw new Error(`not refused, but ${JSON.stringify(value)}`)
}

/** Polls until the condition holds. */
export async function until(condition, what) {
  const end = performance.now() + PATIENCE_MS
  while (performance.now() < end) {
    if (await condition()) return
    await new Promise(resolve => setTimeout(resolve, 2))
  }
  throw new Error(`never: ${what}`)
}

/** A flat name/value reply as an object. */
export function pairs(reply) {
  assert(Array.isArray(reply), `not an array: ${JSON.stringify(reply)}`)
  const entries = []
  for (let i = 0; i < reply.length; i += 2) entries.push([String(reply[i]), reply[i + 1]])
  return Object.fromEntries(entries)
}

/** A plain connection that sends inline INFO and reads its text: the outside view of a case. */
function askInfo() {
  return new Promise((resolve, reject) => {
    const socket = net.connect(PORT, HOST)
    let text = ''
    socket.on('data', chunk => {
      text += chunk
      const size = /^\$(\d+)\r\n/.exec(text)
      if (size && text.length >= size[0].length + Number(size[1]) + 2) {
        socket.destroy()
        resolve(text)
      }
    })
    socket.on('error', reject)
    socket.on('end', () => reject(new Error('the server closed the connection')))
    socket.write('INFO\r\n')
  })
}

export async function info(field) {
  const line = (await askInfo()).split('\r\n').find(line => line.startsWith(`${field}:`))
  return line.slice(field.length + 1)
}

/** Waits until so many clients wait for jobs. */
export async function untilBlocked(count = 1) {
  await until(async () => Number(await info('blocked_clients')) === count, `${count} clients blocked`)
}

/** Lets the server replace itself, and waits until the new one answers. */
export async function restartServer() {
  const before = await info('run_id')
  await new Promise((resolve, reject) => {
    const socket = net.connect(PORT, HOST)
    socket.on('end', resolve)
    socket.on('error', reject)
    socket.resume()
    socket.write('DEBUG RESTART\r\n')
  })
  await until(async () => {
    try {
      return (await info('run_id')) !== before
    } catch {
      return false
    }
  }, 'the server is back')
}
