#!/usr/bin/env -S node --experimental-websocket
// Takes the pictures of the web page for the manual:
//
//   utils/page/screenshots.mjs [path of disque-server [directory for the pictures]]
//
// Needs Chromium. Starts servers of its own on free ports, gives them a load, and stops them. The pages look ten times
// a second instead of every two seconds, so that five minutes of plot take a quarter of a minute.

import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { start as startBrowser } from '../../tests/page/browser.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '../..')
const program = process.argv[2] ?? join(root, 'target/release/disque-server')
const pictures = process.argv[3] ?? join(root, 'docs/manual/images')
const work = mkdtempSync(join(tmpdir(), 'disque-pictures-'))
const servers = []
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

const freePort = () => new Promise((resolve) => {
  const listener = createServer().listen(0, '127.0.0.1', () => {
    const { port } = listener.address()
    listener.close(() => (port <= 55535 ? resolve(port) : resolve(freePort())))
  })
})

class Server {
  static async start(...args) {
    const server = new Server()
    server.port = await freePort()
    server.httpPort = await freePort()
    server.url = `http://127.0.0.1:${server.httpPort}/`
    const dir = join(work, String(server.port))
    mkdirSync(dir)
    server.child = spawn(program, ['--port', server.port, '--bind', '127.0.0.1', '--dir', dir, '--http-port', server.httpPort,
      '--http-page', 'yes', '--cluster-node-timeout', '1000', ...args].map(String), { stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise((resolve) => server.child.stdout.on('data', (data) => String(data).includes('ready to accept') && resolve()))
    servers.push(server)
    return server
  }

  /** Runs commands, given as lists of words, and waits until there is a reply for each; returns the replies as text. */
  async run(...commands) {
    const socket = createConnection(this.port, '127.0.0.1')
    const wire = commands.map((words) => `*${words.length}\r\n` + words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`).join(''))
    socket.end(wire.join(''))
    let replies = ''
    for await (const data of socket) replies += data
    return replies
  }
}

/** For so many rounds a worker works on a job. */
const WORK = 8

/** Adds, takes and acknowledges jobs, ten times a second, until it is stopped. Every queue has its own tide. */
function load(nodes, queues) {
  let time = 0
  let on = true
  const taken = [] // IDs of jobs, those of each GETJOB together
  const running = (async () => {
    while (on) {
      time += 1
      for (const [at, { name, into, out, swing }] of queues.entries()) {
        const tide = 1 + swing * Math.sin(time / 12 + at)
        const add = Array.from({ length: Math.round(into * tide) }, () => ['ADDJOB', name, JSON.stringify({ to: `user-${time}@example.com`, template: 'welcome', n: time }), 0, 'REPLICATE', 1])
        const take = Math.round(out)
        const node = nodes[0]
        if (add.length > 0) await node.run(...add)
        const got = take > 0 ? await node.run(['GETJOB', 'NOHANG', 'COUNT', take, 'FROM', name]) : ''
        taken.push(got.match(/D-[0-9a-f]{8}-[^-]{24}-[0-9a-f]{4}/g) ?? [])
        const done = taken.length > WORK * queues.length ? taken.shift() : []
        if (done.length > 0) await node.run(['ACKJOB', ...done])
      }
      await pause(50)
    }
  })()
  return async () => { on = false; await running }
}

const browser = await startBrowser('chromium')
async function picture(name, tab) {
  const png = await tab.screenshot()
  writeFileSync(join(pictures, `${name}.png`), png)
  console.log(`${name}.png: ${png.length} bytes`)
}
async function watch(tab, looks) {
  for (let n = 0; n < looks; n += 1) {
    await tab.value('look()')
    await pause(100)
  }
}

try {
  mkdirSync(pictures, { recursive: true })

  const lone = await Server.start()
  const empty = await browser.tab({ width: 1100, height: 640 })
  await empty.open(lone.url)
  await picture('page-empty', empty)

  const nodes = [await Server.start(), await Server.start(), await Server.start()]
  for (const node of nodes.slice(1)) await nodes[0].run(['CLUSTER', 'MEET', '127.0.0.1', node.port])
  const queues = [
    { name: 'emails', into: 12, out: 11, swing: 0.9 },
    { name: 'thumbnails', into: 6, out: 6, swing: 0.8 },
    { name: 'invoices', into: 3, out: 3, swing: 0.5 },
    { name: 'search index', into: 9, out: 8, swing: 0.3 },
    { name: 'reports:nightly', into: 1, out: 0, swing: 0 },
    { name: 'webhooks', into: 5, out: 5, swing: 1 },
  ]
  const stop = load(nodes, queues)
  const light = await browser.tab({ width: 1100, height: 860 })
  const dark = await browser.tab({ width: 1100, height: 860, scheme: 'dark' })
  await light.open(nodes[0].url)
  await dark.open(nodes[0].url)
  await nodes[0].run(['PAUSE', 'reports:nightly', 'out'])
  await Promise.all([watch(light, 160), watch(dark, 160)])
  await picture('page-light', light)
  await picture('page-dark', dark)
  await light.value('openQueue("emails")')
  await light.until('document.querySelector("#detail").open')
  await picture('page-queue', light)
  await light.press('Escape')

  nodes[2].child.kill('SIGKILL')
  await light.until('look().then(() => seen.overview.nodes.some((node) => node.state === "failing"))')
  await watch(light, 10)
  await picture('page-node-down', light)
  await stop()

  const many = await Server.start()
  const names = Array.from({ length: 1000 }, (_, n) => `tenant-${String((n * 37) % 1000).padStart(3, '0')}:orders`)
  await many.run(...names.flatMap((name, n) => Array.from({ length: 1 + ((n * 7919) % 23) }, () => ['ADDJOB', name, 'x', 0])))
  const crowd = await browser.tab({ width: 1100, height: 860 })
  await crowd.open(many.url)
  const stopMany = load([many], names.slice(0, 12).map((name, at) => ({ name, into: 2 + at / 2, out: 2 + at / 2, swing: 0.9 })))
  await watch(crowd, 100)
  await picture('page-1000-queues', crowd)
  await stopMany()
} finally {
  await browser.stop()
  for (const { child } of servers) child.kill('SIGKILL')
  rmSync(work, { recursive: true, force: true })
}
