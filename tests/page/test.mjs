// What a person does with the web page, in a real browser. tests/page.rs starts the servers and calls
//
//   node --experimental-websocket test.mjs BROWSER URL URL-WITH-PASSWORD JOB-ID
//
// The first server has the queues <img…> (one job, whose body is markup), raw\xff and plain-000 … plain-149, and the
// second the password sekret.

import assert from 'node:assert/strict'
import { start } from './browser.mjs'

const [program, url, guarded, jobId] = process.argv.slice(2)
const browser = await start(program)
let failed = 0
async function test(name, body) {
  try {
    await body()
    console.log(`ok ${name}`)
  } catch (error) {
    failed += 1
    console.log(`not ok ${name}\n${error.stack}`)
  }
}
const text = (tab, selector) => tab.value(`document.querySelector(${JSON.stringify(selector)}).innerText`)
const rows = (tab) => tab.value('Array.from(document.querySelectorAll("#queues tbody tr"), (row) => row.cells[0].innerText)')

await test('the page shows node and queues, and asks nobody else for anything', async () => {
  const tab = await browser.tab()
  await tab.open(url)
  assert.match(await text(tab, '#about'), /version \d/)
  assert.equal(await tab.value('document.querySelectorAll("#nodes tbody tr").length'), 1)
  assert.equal((await rows(tab)).length, 100)
  assert.equal(await text(tab, '#shown'), '100 of 152 queues')
  assert.deepEqual(tab.complaints, [])
  const elsewhere = tab.asked.filter((asked) => !asked.startsWith(url) && !asked.startsWith('data:'))
  assert.deepEqual(elsewhere, [])
})

await test('names and bodies that are markup are shown as text', async () => {
  const tab = await browser.tab()
  await tab.open(`${url}#queue=${encodeURIComponent('<img src=x onerror="window.hit=1">')}`)
  await tab.until('document.querySelector("#detail").open')
  assert.equal(await text(tab, '#detail pre'), '<script>window.hit = 1</script><b onclick="window.hit=1">b</b>')
  assert.equal(await tab.value('document.querySelectorAll("#detail b, #detail script, img").length'), 0)
  assert.equal(await tab.value('window.hit'), undefined)
})

await test('the policy keeps injected scripts and styles from working', async () => {
  const tab = await browser.tab()
  await tab.open(url)
  await tab.value(`{
    const script = document.createElement('script'); script.textContent = 'window.hit = 2'; document.body.append(script);
    const far = document.createElement('script'); far.src = 'https://example.com/x.js'; document.body.append(far);
    const box = document.createElement('div'); box.innerHTML = '<img src="https://example.com/x.png" onerror="window.hit = 3">'; document.body.append(box);
  }`)
  await tab.until('document.querySelectorAll("script").length >= 3')
  assert.equal(await tab.value('window.hit'), undefined)
  assert.ok(tab.complaints.some((text) => text.includes('Content Security Policy')), tab.complaints.join('\n'))
  await assert.rejects(tab.value('fetch("https://example.com/")'))
})

await test('jobs that a worker has are shown, and sorted by', async () => {
  const tab = await browser.tab()
  await tab.open(url)
  await tab.value('document.querySelector("[data-sort=in_flight]").click()')
  await tab.until('document.querySelector("#queues tbody tr").cells[0].innerText === "plain-149"')
  assert.equal(await tab.value('document.querySelector("#queues tbody tr").cells[2].innerText'), '1')
  assert.equal(await tab.value('document.querySelector("#queues tbody tr:nth-child(2)").cells[2].innerText'), '0')
})

await test('all of it works by keys: find, choose, look, close', async () => {
  const tab = await browser.tab()
  await tab.open(url)
  await tab.press('/')
  await tab.type('plain-14')
  await tab.until('document.querySelectorAll("#queues tbody tr").length === 10')
  assert.equal(await text(tab, '#shown'), '10 queues with “plain-14” of 152')
  await tab.press('ArrowDown')
  await tab.press('ArrowDown')
  const second = (await rows(tab))[1]
  await tab.press('Enter')
  await tab.until('document.querySelector("#detail").open')
  assert.equal(await text(tab, '#detail-title'), `Queue ${second}`)
  await tab.press('Escape')
  await tab.until('!document.querySelector("#detail").open')
})

await test('a queue is paused and opened again', async () => {
  const tab = await browser.tab()
  await tab.open(`${url}#queue=plain-007`)
  await tab.until('document.querySelector("#detail").open')
  const pressed = 'document.querySelector("#detail [aria-pressed=true]").dataset.state'
  assert.equal(await tab.value(pressed), 'none')
  await tab.value('document.querySelector("#detail [data-state=in]").click()')
  await tab.until(`${pressed} === 'in'`)
  assert.equal((await tab.value('fetch("api/queue?name=plain-007").then((answer) => answer.json())')).queue.pause, 'in')
  await tab.value('document.querySelector("#detail [data-state=none]").click()')
  await tab.until(`${pressed} === 'none'`)
  assert.deepEqual(tab.complaints, [])
})

await test('a job is found by its ID, and a wrong ID is told', async () => {
  const tab = await browser.tab()
  await tab.open(url)
  await tab.press('j')
  await tab.type(jobId)
  await tab.press('Enter')
  await tab.until('document.querySelector("#detail .job")')
  assert.ok((await text(tab, '#detail')).includes(jobId))
  await tab.press('Escape')
  await tab.until('!document.querySelector("#detail").open')
  await tab.value('document.querySelector("#job-id").value = "nonsense"; document.querySelector("#job-form").requestSubmit()')
  await tab.until('document.querySelector("#detail [role=alert]")')
  assert.match(await text(tab, '#detail [role=alert]'), /not the ID of a job/)
})

await test('bytes that are no text are shown escaped', async () => {
  const tab = await browser.tab()
  await tab.open(url)
  await tab.press('/')
  await tab.type('raw')
  await tab.until('document.querySelectorAll("#queues tbody tr").length === 1')
  assert.deepEqual(await rows(tab), ['raw\\xff'])
  await tab.value('document.querySelector("#queues tbody tr").click()')
  await tab.until('document.querySelector("#detail").open')
  assert.equal(await text(tab, '#detail pre'), '\\x00\\xfe')
})

await test('light and dark follow the system, or what was chosen', async () => {
  const tab = await browser.tab({ scheme: 'dark' })
  await tab.open(url)
  const paper = 'getComputedStyle(document.body).backgroundColor'
  const dark = await tab.value(paper)
  await tab.press('t')
  const light = await tab.value(paper)
  assert.notEqual(light, dark)
  await tab.press('t')
  assert.equal(await tab.value(paper), dark)
  await tab.press('t')
  assert.equal(await text(tab, '#theme'), 'Theme: system')
})

await test('a server that is gone is told, and what is known stays', async () => {
  const tab = await browser.tab()
  await tab.open(url)
  await tab.send('Network.emulateNetworkConditions', { offline: true, latency: 0, downloadThroughput: -1, uploadThroughput: -1 })
  await tab.until('document.querySelector("#state").className === "late"')
  assert.equal((await rows(tab)).length, 100)
})

await test('with a password the page is for those who have it', async () => {
  const tab = await browser.tab()
  await tab.send('Page.navigate', { url: guarded })
  await tab.until('document.body !== null && document.readyState === "complete"')
  assert.equal(await tab.value('document.querySelector("#queues")'), null)
  const authorization = 'Basic ' + Buffer.from('anybody:sekret').toString('base64')
  const known = await browser.tab({ headers: { Authorization: authorization } })
  await known.open(guarded)
  assert.equal(await text(known, '#shown'), '0 queues')
})

await browser.stop()
process.exitCode = failed === 0 ? 0 : 1
