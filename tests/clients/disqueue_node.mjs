// disqueue-node 2.0.2, on a node_redis of 2017.

import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import {
  HOST, LOCKED_PORT, MEGABYTE, PASSWORD, PORT, Suite, equal, installed, refused, untilBlocked,
} from './harness.mjs'

const connect = createRequire(import.meta.url)('disqueue-node')
const suite = new Suite('disqueue-node 2.0.2')
const COMMANDS = [
  'addJob', 'getJob', 'ackJob', 'fastAck', 'nack', 'working', 'qlen', 'qscan', 'show', 'hello', 'info', 'enqueue',
  'dequeue', 'delJob',
]

/** A client that is ready, its commands as promises. */
async function opened(options = {}) {
  const client = connect({ host: HOST, port: PORT, ...options })
  await new Promise((resolve, reject) => client.on('ready', resolve).on('error', reject))
  const run = Object.fromEntries(COMMANDS.map(name => [name, promisify(client[name].bind(client))]))
  return { ...run, end: () => client.redisClient.end(false) }
}

async function using(action) {
  const client = await opened()
  try {
    await action(client)
  } finally {
    client.end()
  }
}

await suite.case('connects and knows the node', () => using(async client => {
  equal(installed('disqueue-node'), '2.0.2')
  const hello = await client.hello({})
  equal([hello.version, hello.nodeId.length, hello.nodeIds], [1, 40, [hello.nodeId, HOST, String(PORT), '1']])
  const info = await client.info({})
  equal([info.server.redis_mode, info.clients.blocked_clients], ['standalone', '0'])
}))

await suite.case('jobs go through their life', () => using(async client => {
  const queue = suite.queue()
  const id = await client.addJob({ queue, job: 'body', retry: 600 })
  equal(await client.qlen(queue), 1)
  const row = { queue, jobId: id, body: 'body' }
  equal(await client.getJob({ queue, withcounters: true }), [{ ...row, nacks: 0, additionalDeliveries: 0 }])
  equal(await client.working(id), 600)
  equal(await client.nack(id), 1)
  equal(await client.getJob({ queue, withcounters: true }), [{ ...row, nacks: 1, additionalDeliveries: 0 }])
  const shown = await client.show(id)
  equal([shown.state, shown.nacks, shown.body], ['active', 1, 'body'])
  equal([await client.enqueue(id), await client.dequeue(id), await client.ackJob(id)], [1, 1, 1])
  equal([await client.show(id), await client.getJob({ queue, nohang: true })], [null, []])
  equal(await client.fastAck(await client.addJob({ queue, job: 'fast' })), 1)
}))

await suite.case('scans queues', () => using(async client => {
  const prefix = suite.queue()
  const names = Array.from({ length: 50 }, (_, i) => `${prefix}/${i}`)
  for (const queue of names) await client.addJob({ queue, job: 'body' })
  const found = []
  let cursor = 0
  do {
    const page = await client.qscan({ cursor, count: 10, minlen: 1 })
    found.push(...page.queues)
    cursor = page.cursor
  } while (cursor !== 0)
  equal(names.filter(name => !found.includes(name)), [])
}))

await suite.case('a waiting fetch is woken by a producer', async () => {
  const queue = suite.queue()
  const worker = await opened()
  const waiting = worker.getJob({ queue })
  await untilBlocked()
  await using(async client => {
    const id = await client.addJob({ queue, job: 'wake up' })
    equal(await waiting, [{ queue, jobId: id, body: 'wake up' }])
  })
  worker.end()
})

await suite.case('errors are told', () => using(async client => {
  await refused(/BADID/, client.ackJob('not-an-id'))
  await refused(/NOREPL/, client.addJob({ queue: suite.queue(), job: 'body', timeout: 100, replicate: 3 }))
}))

await suite.case('carries bodies of 1 and 20 MB', () => using(async client => {
  const queue = suite.queue()
  for (const size of [MEGABYTE, 20 * MEGABYTE]) {
    const job = 'job '.repeat(size / 4)
    const id = await client.addJob({ queue, job })
    const [row] = await client.getJob({ queue })
    equal([row.jobId, row.body === job], [id, true])
  }
}))

// The library asks INFO before it gives the password, and takes the refusal for the end. The server cannot help:
// whoever answered INFO to strangers would need no password.
await suite.case('cannot give a password, and says so', async () => {
  await refused(/NOAUTH/, opened({ port: LOCKED_PORT, auth: { password: PASSWORD } }))
})

suite.end()
