// ioredis: what applications do with it. Arguments: the package and the version that must be installed.

import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import {
  HOST, LOCKED_PORT, MEGABYTE, PASSWORD, PORT, Suite, equal, installed, pairs, refused, restartServer, until,
  untilBlocked,
} from './harness.mjs'

const [, , packageName, version] = process.argv
const { Redis } = createRequire(import.meta.url)(packageName)
const suite = new Suite(`ioredis ${version}`)

const modes = [
  { label: 'by default', options: {}, resp: version[0] === '6' ? 3 : 2 },
  ...(version[0] === '6' ? [{ label: 'protocol: 2', options: { protocol: 2 }, resp: 2 }] : []),
]

function opened(mode, options = {}, port = PORT) {
  const client = new Redis(port, HOST, { retryStrategy: () => 10, ...mode.options, ...options })
  client.on('error', () => {})
  return client
}

async function using(mode, action, options) {
  const client = opened(mode, options)
  try {
    await action(client, (...words) => client.call(...words))
    equal(await client.quit(), 'OK')
  } finally {
    client.disconnect()
  }
}

const cases = [
  ['connects and runs a command', mode => using(mode, async (client, run) => {
    equal(installed(packageName), version)
    equal([await client.ping(), await run('QLEN', suite.queue())], ['PONG', 0])
    const line = (await client.client('LIST')).split('\n').find(line => line.includes(' cmd=client '))
    equal(line.includes(` lib-name=ioredis lib-ver=${version} resp=${mode.resp}`), true)
  })],

  ['passwords let in or keep out', async mode => {
    for (const credentials of [{ password: PASSWORD }, { username: 'default', password: PASSWORD }]) {
      const client = opened(mode, credentials, LOCKED_PORT)
      equal(await client.call('QLEN', suite.queue()), 0)
      client.disconnect()
    }
    for (const credentials of [{ password: 'wrong' }, { username: 'somebody', password: PASSWORD }, {}]) {
      const client = opened(mode, { ...credentials, maxRetriesPerRequest: 0, retryStrategy: () => null }, LOCKED_PORT)
      const told = new Promise(resolve => client.on('error', resolve))
      // RESP3 fails to connect; RESP2 connects and is refused.
      const outcome = await client.call('QLEN', suite.queue()).catch(error => error)
      equal(outcome instanceof Error, true)
      equal(/WRONGPASS|NOAUTH|invalid password/.test(`${(await told).message} ${outcome.message}`), true)
      client.disconnect()
    }
    await using(mode, async client => equal(await client.ping(), 'PONG'), { username: 'default', password: 'any' })
  }],

  ['jobs go through their life', mode => using(mode, async (client, run) => {
    const queue = suite.queue()
    const ids = []
    for (const body of ['one', 'two', 'three']) ids.push(await run('ADDJOB', queue, body, 0, 'RETRY', 600))
    equal(await run('QLEN', queue), 3)
    equal(await run('GETJOB', 'COUNT', 2, 'WITHCOUNTERS', 'FROM', queue), [
      [queue, ids[0], 'one', 'nacks', 0, 'additional-deliveries', 0],
      [queue, ids[1], 'two', 'nacks', 0, 'additional-deliveries', 0],
    ])
    equal(await run('NACK', ids[0]), 1)
    const again = await run('GETJOB', 'COUNT', 5, 'WITHCOUNTERS', 'FROM', queue)
    equal(again.map(row => [row[1], row[4]]), [[ids[0], 1], [ids[2], 0]])
    equal(await run('WORKING', ids[0]), 600)
    const shown = pairs(await run('SHOW', ids[0]))
    equal([shown.queue, shown.state, shown.nacks, shown.body], [queue, 'active', 1, 'one'])
    equal(pairs(await run('QSTAT', queue))['jobs-out'], 4)
    equal(await run('ACKJOB', ...ids), 3)
    equal([await run('SHOW', ids[0]), await run('GETJOB', 'NOHANG', 'FROM', queue)], [null, null])
    equal(await run('GETJOB', 'TIMEOUT', 30, 'FROM', queue), null)
  })],

  ['a waiting fetch is woken by a producer', async mode => {
    const queue = suite.queue()
    const worker = opened(mode)
    const waiting = worker.call('GETJOB', 'FROM', queue)
    await untilBlocked()
    let id
    await using(mode, async (_client, run) => { id = await run('ADDJOB', queue, 'wake up', 0) })
    equal(await waiting, [[queue, id, 'wake up']])
    worker.disconnect()
  }],

  ['a worker that gives up gets no job', async mode => {
    const queue = suite.queue()
    const worker = opened(mode)
    const waiting = worker.call('GETJOB', 'FROM', queue).catch(() => 'gone')
    await untilBlocked()
    worker.disconnect()
    equal(await waiting, 'gone')
    await using(mode, async (_client, run) => {
      const id = await run('ADDJOB', queue, 'body', 0)
      equal(await run('GETJOB', 'NOHANG', 'WITHCOUNTERS', 'FROM', queue),
        [[queue, id, 'body', 'nacks', 0, 'additional-deliveries', 0]])
    })
  }],

  ['scans queues', mode => using(mode, async (_client, run) => {
    const prefix = suite.queue()
    const names = Array.from({ length: 300 }, (_, i) => `${prefix}/${i}`)
    await Promise.all(names.map(name => run('ADDJOB', name, 'body', 0)))
    const found = new Set()
    let cursor = '0'
    do {
      const [next, queues] = await run('QSCAN', cursor, 'COUNT', 20)
      queues.forEach(queue => found.add(queue))
      cursor = next
    } while (cursor !== '0')
    equal(names.filter(name => !found.has(name)), [])
    equal((await run('JSCAN', 'QUEUE', names[7], 'BUSYLOOP'))[1].length, 1)
  })],

  ['errors are rejections', mode => using(mode, async (client, run) => {
    await refused(/unknown command 'NOSUCH'/, run('NOSUCH'))
    await refused(/BADID/, run('ACKJOB', 'not-an-id'))
    await refused(/NOREPL/, run('ADDJOB', suite.queue(), 'body', 100, 'REPLICATE', 3))
    equal(await client.ping(), 'PONG')
  })],

  ['multi is a transaction', mode => using(mode, async client => {
    const queue = suite.queue()
    const replies = await client.multi()
      .call('ADDJOB', queue, 'body', 0)
      .call('QLEN', queue)
      .call('GETJOB', 'FROM', queue)
      .call('GETJOB', 'TIMEOUT', 60_000, 'FROM', queue)
      .exec()
    equal(replies.map(([error]) => error), [null, null, null, null])
    const [id, length, rows, nothing] = replies.map(([, value]) => value)
    equal([length, rows, nothing], [1, [[queue, id, 'body']], null])
    await refused(/EXECABORT/, client.multi().call('ADDJOB', queue, 'never', 0).call('ADDJOB', queue).exec())
    equal(await client.call('QLEN', queue), 0)
  })],

  ['pipelines keep the order', async mode => {
    const queue = suite.queue()
    await using(mode, async client => {
      const pipeline = client.pipeline()
      for (let i = 0; i < 1000; i += 1) pipeline.call('ADDJOB', queue, i, 0)
      const ids = (await pipeline.call('NOSUCH').exec()).map(([error, id]) => error?.message ?? id)
      equal(ids.pop(), "ERR unknown command 'NOSUCH'")
      equal((await client.call('GETJOB', 'COUNT', 1000, 'FROM', queue)).map(row => row[1]), ids)
    })
    await using(mode, async (_client, run) => {
      const ids = await Promise.all(Array.from({ length: 1000 }, (_, i) => run('ADDJOB', queue, i, 0)))
      equal((await run('GETJOB', 'COUNT', 1000, 'FROM', queue)).map(row => row[1]), ids)
    }, { enableAutoPipelining: true })
  }],

  ['carries bodies of 1 and 20 MB', mode => using(mode, async client => {
    const queue = suite.queue()
    for (const size of [MEGABYTE, 20 * MEGABYTE]) {
      const body = randomBytes(size)
      const id = await client.call('ADDJOB', queue, body, 0)
      const [row] = await client.callBuffer('GETJOB', 'FROM', queue)
      equal([String(row[1]), Buffer.compare(row[2], body)], [id, 0])
      equal(await client.call('ACKJOB', id), 1)
    }
  })],

  ["operators' commands are understood", mode => using(mode, async client => {
    // Version 6 flattens maps, so that applications see in RESP3 what they saw in RESP2.
    equal(await client.config('GET', 'slowlog-max-len'), ['slowlog-max-len', '128'])
    equal((await client.info()).includes('\r\nloading:0\r\n'), true)
    equal((await client.command('INFO', 'addjob'))[0][1], -4)
    equal((await client.command()).length, await client.command('COUNT'))
    equal(Array.isArray(await client.slowlog('GET')), true)
    equal((await client.time()).length, 2)
    await client.client('SETNAME', 'worker-7')
    equal(await client.client('GETNAME'), 'worker-7')
  })],

  ['MONITOR shows commands', async mode => {
    const queue = suite.queue()
    const client = opened(mode)
    const watcher = await client.monitor()
    const seen = []
    watcher.on('monitor', (_time, args, _source, database) => seen.push([...args, database].join(' ')))
    await client.call('QLEN', queue)
    await until(() => seen.includes(`QLEN ${queue} 0`), 'the line')
    watcher.disconnect()
    client.disconnect()
  }],

  ['survives a restart of the server', async mode => {
    const client = opened(mode)
    await client.ping()
    await restartServer()
    equal((await client.call('ADDJOB', suite.queue(), 'after', 0)).length, 40)
    client.disconnect()
  }],
]

for (const mode of modes) {
  for (const [claim, action] of cases) await suite.case(`${claim} (${mode.label})`, () => action(mode))
}
suite.end()
