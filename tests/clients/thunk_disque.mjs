// thunk-disque 0.5.13, which sends commands about a job to the node that the job's ID names.

import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import {
  HOST, LOCKED_PORT, MEGABYTE, PASSWORD, PORT, Suite, equal, installed, refused, restartServer, untilBlocked,
} from './harness.mjs'

const disque = createRequire(import.meta.url)('thunk-disque')
const suite = new Suite('thunk-disque 0.5.13')

function opened(options = {}, port = PORT) {
  const client = disque.createClient(port, HOST, { usePromise: true, handleError: false, ...options })
  client.on('error', () => {})
  client.on('warn', () => {})
  return client
}

async function using(action, options, port) {
  const client = opened(options, port)
  try {
    await action(client)
  } finally {
    client.clientEnd()
  }
}

await suite.case('connects and knows the node', () => using(async client => {
  equal(installed('thunk-disque'), '0.5.13')
  const [version, me, node] = await client.hello()
  equal([version, me.length, node], [1, 40, [me, HOST, String(PORT), '1']])
  equal(Object.keys(client._disqueState.pool).includes(me.slice(0, 8)), true)
  const info = await client.info()
  equal([info.loading, info.redis_mode, 'disque_version' in info], ['0', 'standalone', true])
  equal(await client.ping(), 'PONG')
}))

await suite.case('a password lets in', async () => {
  await using(async client => equal(await client.qlen(suite.queue()), 0), { authPass: PASSWORD }, LOCKED_PORT)
})

await suite.case('a wrong password keeps out', async () => {
  const client = opened({ authPass: 'wrong' }, LOCKED_PORT)
  const told = await new Promise(resolve => client.on('error', resolve))
  equal(/invalid password|NOAUTH/.test(told.message), true)
  client.clientEnd()
})

await suite.case('jobs go through their life', () => using(async client => {
  const queue = suite.queue()
  const id = await client.addjob(queue, 'body', 0, 'retry', 600)
  const other = await client.addjob([queue, 'other', 0])
  equal(await client.qlen(queue), 2)
  equal(await client.qpeek(queue, 1), [[queue, id, 'body']])
  equal(await client.getjob(['COUNT', 5, 'WITHCOUNTERS', 'FROM', queue]), [
    [queue, id, 'body', 'nacks', 0, 'additional-deliveries', 0],
    [queue, other, 'other', 'nacks', 0, 'additional-deliveries', 0],
  ])
  equal(await client.working(id), 600)
  equal(await client.nack(id), 1)
  const shown = await client.show(id)
  equal([shown.id, shown.state, shown.nacks, shown.body, Object.keys(shown).length], [id, 'queued', 1, 'body', 15])
  equal((await client.qstat(queue)).len, 1)
  equal([await client.dequeue(id), await client.enqueue(id), await client.deljob(id)], [1, 1, 1])
  equal([await client.fastack(other), await client.show(other)], [1, null])
  equal(await client.getjob('TIMEOUT', 30, 'FROM', queue), null)
  equal(await client.getjob('NOHANG', 'FROM', queue), null)
}))

await suite.case('scans queues and jobs', () => using(async client => {
  const queue = suite.queue()
  const ids = await Promise.all(Array.from({ length: 50 }, (_, i) => client.addjob(queue, i, 0)))
  const found = []
  let cursor = '0'
  do {
    const [next, jobs] = await client.jscan(cursor, 'count', 10, 'queue', queue)
    found.push(...jobs)
    cursor = next
  } while (cursor !== '0')
  equal(ids.filter(id => !found.includes(id)), [])
  equal((await client.qscan('busyloop'))[1].includes(queue), true)
}))

await suite.case('a waiting fetch is woken by a producer', async () => {
  const queue = suite.queue()
  const worker = opened()
  const waiting = worker.getjob('FROM', queue)
  await untilBlocked()
  await using(async client => {
    const id = await client.addjob(queue, 'wake up', 0)
    equal(await waiting, [[queue, id, 'wake up']])
  })
  worker.clientEnd()
})

await suite.case('errors are rejections', () => using(async client => {
  // The library takes the code off the text.
  await refused(/Invalid Job ID format/, client.ackjob('not-an-id'))
  await refused(/Not enough reachable nodes/, client.addjob(suite.queue(), 'body', 100, 'replicate', 3))
  await refused(/wrong number of arguments for 'qlen'/, client.qlen())
}))

await suite.case('carries bodies of 1 and 20 MB', () => using(async client => {
  const queue = suite.queue()
  for (const size of [MEGABYTE, 20 * MEGABYTE]) {
    const body = randomBytes(size)
    await client.addjob(queue, body, 0)
    const [row] = await client.getjob('FROM', queue)
    equal(Buffer.compare(row[2], body), 0)
    equal(await client.ackjob(String(row[1])), 1)
  }
}, { returnBuffers: true }))

await suite.case("operators' commands are understood", () => using(async client => {
  equal(await client.config('get', 'slowlog-max-len'), ['slowlog-max-len', '128'])
  equal((await client.time()).length, 2)
  equal((await client.command('info', 'addjob'))[0].slice(0, 2), ['addjob', -4])
  equal((await client.cluster('nodes')).split('\n')[0].split(' ')[2], 'myself')
}))

// A client ends with the last node that it knows.
await suite.case('ends with its only server, and a new one works', async () => {
  const client = opened()
  await client.ping()
  const ended = new Promise(resolve => client.once('close', resolve))
  await restartServer()
  await ended
  await using(async client => equal((await client.addjob(suite.queue(), 'after', 0)).length, 40))
})

suite.end()
