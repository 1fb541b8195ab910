// Drives a headless Chromium over its debugging protocol, with nothing but Node (20 with --experimental-websocket, or newer).

import { spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PATIENCE = 20000 // milliseconds; only what fails waits so long
const GRACE = 3000 // milliseconds in which the browser may end by itself

/** Starts the browser at `program`. */
export async function start(program) {
  const profile = mkdtempSync(join(tmpdir(), 'disque-browser-'))
  const flags = ['--headless=new', '--remote-debugging-port=0', `--user-data-dir=${profile}`, '--no-first-run',
    '--disable-gpu', '--no-sandbox', '--hide-scrollbars', '--disable-extensions', '--force-color-profile=srgb', 'about:blank']
  // A process group of its own: its children (renderers, network service) can outlive it, and write into the profile.
  const child = spawn(program, flags, { stdio: ['ignore', 'ignore', 'pipe'], detached: true })
  // Whoever leaves without `stop`, by an exception or a signal, leaves no browser behind.
  process.on('exit', () => endGroup(child.pid))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1))
  const address = await new Promise((resolve, reject) => {
    let said = ''
    child.stderr.on('data', (data) => {
      said += data
      const found = said.match(/DevTools listening on (ws:\S+)/)
      if (found) resolve(found[1])
    })
    child.on('exit', () => reject(new Error(`the browser ended:\n${said}`)))
    setTimeout(() => reject(new Error(`the browser does not start:\n${said}`)), PATIENCE).unref()
  })
  const socket = new WebSocket(address)
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject })
  return new Browser(child, socket, profile)
}

class Browser {
  #child; #socket; #profile; #next = 1; #waiting = new Map(); #listeners = []

  constructor(child, socket, profile) {
    this.#child = child
    this.#socket = socket
    this.#profile = profile
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data)
      const waiting = this.#waiting.get(message.id)
      if (waiting) {
        this.#waiting.delete(message.id)
        if (message.error) waiting.reject(new Error(message.error.message))
        else waiting.resolve(message.result)
      } else this.#listeners.forEach((listener) => listener(message))
    }
  }

  send(method, params = {}, sessionId = undefined) {
    const id = this.#next++
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }))
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }

  listen(listener) { this.#listeners.push(listener) }

  /** A tab of this size; `scheme` is light or dark. */
  async tab({ width = 1200, height = 860, scheme = 'light', headers = {} } = {}) {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true })
    const tab = new Tab(this, sessionId)
    await tab.send('Page.enable')
    await tab.send('Runtime.enable')
    await tab.send('Log.enable')
    await tab.send('Network.enable')
    await tab.send('Network.setExtraHTTPHeaders', { headers })
    await tab.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false })
    // As if it were in front, whichever tab is.
    await tab.send('Emulation.setFocusEmulationEnabled', { enabled: true })
    await tab.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] })
    return tab
  }

  /** Ends the browser with all its children and removes its profile. */
  async stop() {
    const exited = this.#child.exitCode !== null || this.#child.signalCode !== null
    const ended = exited ? Promise.resolve() : new Promise((resolve) => this.#child.once('exit', resolve))
    this.send('Browser.close').catch(() => {})
    await Promise.race([ended, pause(GRACE)])
    this.#socket.close()
    endGroup(this.#child.pid)
    await ended
    const end = Date.now() + GRACE
    while (endGroup(this.#child.pid) && Date.now() < end) await pause(20)
    try {
      await rm(this.#profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
    } catch (error) {
      // Says nothing about the page; the folder is one of the system's temporary ones.
      console.error(`cannot remove the browser's profile: ${error.message}`)
    }
  }
}

/** Kills who is left of a process group; false if nobody was. */
function endGroup(group) {
  try {
    return process.kill(-group, 'SIGKILL')
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
    return false
  }
}

function pause(milliseconds) { return new Promise((resolve) => setTimeout(resolve, milliseconds)) }

class Tab {
  #browser; #session
  /** What the page complained about: errors, refused loads, and addresses it asked for. */
  complaints = []
  asked = []

  constructor(browser, session) {
    this.#browser = browser
    this.#session = session
    browser.listen(({ method, params, sessionId }) => {
      if (sessionId !== session) return
      if (method === 'Runtime.exceptionThrown') this.complaints.push(params.exceptionDetails.text)
      if (method === 'Log.entryAdded' && params.entry.level === 'error') this.complaints.push(params.entry.text)
      if (method === 'Network.requestWillBeSent') this.asked.push(params.request.url)
    })
  }

  send(method, params) { return this.#browser.send(method, params, this.#session) }

  async open(url) {
    await this.send('Page.navigate', { url })
    await this.until('document.body?.dataset.looked === "yes"')
  }

  /** The value of an expression in the page. */
  async value(expression) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`)
    return result.value
  }

  /** Waits until the expression holds. */
  async until(expression) {
    const end = Date.now() + PATIENCE
    while (!(await this.value(expression))) {
      if (Date.now() > end) throw new Error(`waited in vain until ${expression}; the page shows:\n${await this.value('document.body.innerText')}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  /** Presses a key that has a name, or types a character. */
  async press(key) {
    const codes = { Enter: 13, Escape: 27, Tab: 9, ArrowDown: 40, ArrowUp: 38 }
    const code = codes[key] ?? key.toUpperCase().charCodeAt(0)
    const text = key === 'Enter' ? '\r' : key.length === 1 ? key : undefined
    const event = { key, windowsVirtualKeyCode: code, text }
    await this.send('Input.dispatchKeyEvent', { type: text ? 'keyDown' : 'rawKeyDown', ...event })
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...event })
  }

  async type(text) { await this.send('Input.insertText', { text }) }

  async screenshot() {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' })
    return Buffer.from(data, 'base64')
  }
}
