// node-redis: what applications do with it. Arguments: the package and the version that must be installed.

import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import {
  HOST, LOCKED_PORT, MEGABYTE, PASSWORD, PORT, Suite, equal, installed, pairs, refused, restartServer, until,
  untilBlocked,
} from './harness.mjs'

const [, , packageName, version] = process.argv
const redis = createRequire(import.meta.url)(packageName)
const major = Number(version[0])
const suite = new Suite(`node-redis ${version}`)

// Every way to choose a protocol that this version has.
const modes = [
  { label: 'by default', options: {}, resp: major >= 6 ? 3 : 2 },
  ...(major >= 5 ? [2, 3].map(resp => ({ label: `RESP: ${resp}`, options: { RESP: resp }, resp })) : []),
]

async function opened(mode, options = {}, port = PORT) {
  const client = redis.createClient({ socket: { host: HOST, port, reconnectStrategy: 10 }, ...mode.options, ...options })
  // Without a listener the library ends the process when a connection breaks.
  client.on('error', () => {})
  await client.connect()
  return client
}

// Version 4 asks the server to close, later ones just close.
const close = client => (major >= 5 ? client.close() : client.quit())

// What a connection that is given up looks like.
const abandon = client => (major >= 5 ? client.destroy() : client.disconnect())

async function using(mode, action, options) {
  const client = await opened(mode, options)
  try {
    await action(client, (...words) => client.sendCommand(words.map(word => (Buffer.isBuffer(word) ? word : String(word)))))
  } finally {
    await close(client)
  }
}

const cases = [
  ['connects and runs a command', mode => using(mode, async (client, run) => {
    equal(installed(packageName), version)
    equal([await client.ping(), await run('QLEN', suite.queue())], ['PONG', 0])
    const [me] = (await client.clientList()).filter(line => line.cmd === 'client')
    equal([me.libName, me.resp], ['node-redis', mode.resp])
  })],

  ['passwords let in or keep out', async mode => {
    for (const credentials of [{ password: PASSWORD }, { username: 'default', password: PASSWORD }]) {
      const client = await opened(mode, credentials, LOCKED_PORT)
      equal(await client.sendCommand(['QLEN', suite.queue()]), 0)
      await close(client)
    }
    for (const credentials of [{ password: 'wrong' }, { username: 'somebody', password: PASSWORD }]) {
      const socket = { host: HOST, port: LOCKED_PORT, reconnectStrategy: false }
      const client = redis.createClient({ socket, ...mode.options, ...credentials })
      client.on('error', () => {})
      // HELLO and AUTH say it in different words.
      await refused(/WRONGPASS|invalid password/, client.connect())
    }
    // A password that nobody asked for does no harm, if it comes with the user.
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
    const worker = await opened(mode)
    const waiting = worker.sendCommand(['GETJOB', 'FROM', queue])
    await untilBlocked()
    let id
    await using(mode, async (_client, run) => { id = await run('ADDJOB', queue, 'wake up', 0) })
    equal(await waiting, [[queue, id, 'wake up']])
    await close(worker)
  }],

  ['a worker that gives up gets no job', async mode => {
    const queue = suite.queue()
    const worker = await opened(mode)
    const waiting = worker.sendCommand(['GETJOB', 'FROM', queue]).catch(() => 'gone')
    await untilBlocked()
    await abandon(worker)
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
    const [id, length, rows, nothing] = await client.multi()
      .addCommand(['ADDJOB', queue, 'body', '0'])
      .addCommand(['QLEN', queue])
      .addCommand(['GETJOB', 'FROM', queue])
      .addCommand(['GETJOB', 'TIMEOUT', '60000', 'FROM', queue])
      .exec()
    equal([length, rows, nothing], [1, [[queue, id, 'body']], null])
    const broken = client.multi().addCommand(['ADDJOB', queue, 'never', '0']).addCommand(['ADDJOB', queue])
    await refused(/./, broken.exec())
    equal(await client.sendCommand(['QLEN', queue]), 0)
  })],

  ['pipelines keep the order', mode => using(mode, async (client, run) => {
    const queue = suite.queue()
    const ids = await Promise.all(Array.from({ length: 2000 }, (_, i) => run('ADDJOB', queue, i, 0)))
    equal((await run('GETJOB', 'COUNT', 2000, 'FROM', queue)).map(row => row[1]), ids)
    const pipeline = client.multi().addCommand(['QLEN', queue]).addCommand(['ECHO', 'x'])
    equal(await pipeline.execAsPipeline(), [0, 'x'])
  })],

  ['carries bodies of 1 and 20 MB', mode => using(mode, async (client, run) => {
    const queue = suite.queue()
    for (const size of [MEGABYTE, 20 * MEGABYTE]) {
      const body = randomBytes(size / 2).toString('hex')
      const id = await run('ADDJOB', queue, body, 0)
      const [row] = await run('GETJOB', 'FROM', queue)
      equal([row[1], row[2] === body], [id, true])
      equal(await run('ACKJOB', id), 1)
    }
  })],

  ["operators' commands are understood", mode => using(mode, async (client, run) => {
    equal((await client.configGet('*')).appendonly, 'no')
    equal({ ...(await client.configGet('slowlog-max-len')) }, { 'slowlog-max-len': '128' })
    equal((await client.info()).includes('\r\nloading:0\r\n'), true)
    equal((await client.commandInfo(['addjob']))[0].arity, -4)
    equal((await client.command()).length, await client.commandCount())
    equal(Array.isArray(await run('SLOWLOG', 'GET')), true)
    equal((await run('TIME')).length, 2)
    await client.clientSetName('worker-7')
    equal(await client.clientGetName(), 'worker-7')
  })],

  // Version 4 has no MONITOR.
  ...(major >= 5 ? [['MONITOR shows commands', async mode => {
    const queue = suite.queue()
    const watcher = await opened(mode)
    const lines = []
    await watcher.monitor(line => lines.push(String(line)))
    await using(mode, (_client, run) => run('QLEN', queue))
    await until(() => lines.some(line => /^\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] "QLEN" /.test(line)), 'the line')
    await abandon(watcher)
  }]] : []),

  ['survives a restart of the server', async mode => {
    const client = await opened(mode)
    await restartServer()
    await until(() => client.isReady, 'the client is back')
    equal((await client.sendCommand(['ADDJOB', suite.queue(), 'after', '0'])).length, 40)
    await close(client)
  }],
]

for (const mode of modes) {
  for (const [claim, action] of cases) await suite.case(`${claim} (${mode.label})`, () => action(mode))
}
suite.end()
