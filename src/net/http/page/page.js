// The page of one node. Everything that comes from the server is put into the page as text, by textContent and
// attributes of our own: names and bodies of jobs are bytes of strangers, and are never markup.
'use strict';

const PERIOD = 2000; // milliseconds between two looks
const KEPT = 150; // points of a plot: five minutes
const PAGE_OF_QUEUES = 100;
const MOST_QUEUES = 1000;

const el = (id) => document.getElementById(id);

/** Makes an element; children are elements or text. */
function make(tag, attributes = {}, ...children) {
  const svg = ['svg', 'polyline', 'polygon', 'title'].includes(tag);
  const node = svg ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// ---- What is known ---------------------------------------------------------------------------------------------

const seen = {
  overview: null,
  queues: null,
  node: [], // { at, queued, in, out }
  byQueue: new Map(), // key of the name -> [{ at, jobs, in, out }]
};
const view = { sort: 'jobs', find: '', limit: PAGE_OF_QUEUES };

/** A name as a key, and as it is shown: bytes that are no text come as base64. */
const key = (name) => (typeof name === 'string' ? 's' + name : 'b' + name.base64);
const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
function shown(value) {
  if (typeof value === 'string') return value === '' ? '(empty name)' : value;
  return Array.from(bytesOf(value.base64), (byte) =>
    byte >= 0x20 && byte < 0x7f && byte !== 0x5c ? String.fromCharCode(byte) : '\\x' + byte.toString(16).padStart(2, '0'),
  ).join('');
}
function queryOf(name) {
  if (typeof name === 'string') return encodeURIComponent(name);
  return Array.from(bytesOf(name.base64), (byte) => '%' + byte.toString(16).padStart(2, '0')).join('');
}

async function ask(path, options) {
  const answer = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(10000), ...options });
  if (!answer.ok) throw new Error((await answer.text()).trim() || answer.statusText);
  return answer.json();
}

// ---- Words -----------------------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat('en-US');
const count = (number) => whole.format(number);
function rate(perSecond) {
  if (perSecond === null) return '–';
  if (perSecond === 0) return '0';
  return perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond));
}
function span(ms) {
  const units = [[86400000, 'd'], [3600000, 'h'], [60000, 'min'], [1000, 's']];
  const at = units.findIndex(([size]) => ms >= size);
  if (at < 0) return `${Math.round(ms)} ms`;
  const [size, unit] = units[at];
  const rest = at + 1 < units.length ? Math.floor((ms % size) / units[at + 1][0]) : 0;
  return `${Math.floor(ms / size)} ${unit}` + (rest > 0 ? ` ${rest} ${units[at + 1][1]}` : '');
}
function bytes(number) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  while (number >= 1024 && at < units.length - 1) { number /= 1024; at += 1; }
  return `${at === 0 ? number : number.toFixed(1)} ${units[at]}`;
}

/** What grew from the last but one point to the last, per second; null if that is not known. */
function speed(points, field) {
  if (points.length < 2) return null;
  const [before, last] = points.slice(-2);
  return last.at > before.at ? Math.max(0, (last[field] - before[field]) * 1000 / (last.at - before.at)) : null;
}

// ---- Plots -----------------------------------------------------------------------------------------------------

/** Lines over the last minutes, the newest at the right. The first is filled. */
function plot(series, label) {
  const width = 100;
  const height = 30;
  const top = Math.max(1, ...series.flat());
  const drawing = make('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img' });
  drawing.append(make('title', {}, label));
  series.forEach((values, at) => {
    if (values.length < 2) return;
    const step = width / (KEPT - 1);
    const x = (n) => (width - (values.length - 1 - n) * step).toFixed(2);
    const y = (value) => (height - 1 - (value / top) * (height - 2)).toFixed(2);
    const points = values.map((value, n) => `${x(n)},${y(value)}`).join(' ');
    if (at === 0) drawing.append(make('polygon', { points: `${x(0)},${height} ${points} ${width},${height}` }));
    drawing.append(make('polyline', { points, class: at === 0 ? 'first' : 'second' }));
  });
  return drawing;
}
function speeds(points, field) {
  return points.slice(1).map((point, at) => speed([points[at], point], field) ?? 0);
}

// ---- The node --------------------------------------------------------------------------------------------------

function card(title, value, note, drawing) {
  const dl = make('dl', { class: 'card' }, make('dt', {}, title), make('dd', {}, value), make('dd', { class: 'note' }, note));
  dl.style.margin = '0';
  if (drawing) dl.append(drawing);
  return dl;
}

function drawOverview() {
  const now = seen.overview;
  const me = now.nodes.find((node) => node.myself);
  el('about').textContent = `${me.address ?? 'port ' + me.port} · version ${now.version} · up ${span(now.now - now.started)}`;
  document.title = `disque ${me.address ?? me.port}`;
  const points = seen.node;
  const queued = points.map((point) => point.queued);
  const commands = speeds(points, 'commands');
  const memory = now.memory.max > 0 ? `of ${bytes(now.memory.max)}, ${Math.round((now.memory.used / now.memory.max) * 100)} %` : 'no limit';
  const { queued: inQueues, active, acked, ['wait-repl']: waiting } = now.jobs;
  el('numbers').replaceChildren(
    card('Jobs in queues', count(inQueues), `${count(now.queues)} queues`, plot([queued], 'Jobs in queues, last 5 minutes')),
    card('Commands / s', rate(speed(points, 'commands')), `${count(now.commands)} in all`, plot([commands], 'Commands per second, last 5 minutes')),
    card('Other jobs', count(active + acked + waiting), `${count(active)} active, ${count(waiting)} being copied, ${count(acked)} acknowledged`),
    card('Clients', count(now.clients), `${count(now.blocked)} waiting`),
    card('Memory', bytes(now.memory.used), memory),
    card('Append-only file', now.aof.enabled ? bytes(now.aof.bytes) : 'off', now.aof.failure ? 'cannot be written' : now.aof.enabled ? 'written' : 'jobs live in memory only'),
  );
  drawNotices(now);
  drawNodes(now);
}

function drawNotices(now) {
  const notices = [];
  const say = (kind, text) => notices.push(make('p', { class: 'notice ' + kind }, text));
  if (now.loading) say('warn', `Loading the append-only file: ${bytes(now.loading.loaded)} of ${bytes(now.loading.total)}. Commands are refused meanwhile.`);
  if (now.leaving) say('warn', 'This node is leaving the cluster: it takes no new jobs, and hands out what it has.');
  if (now.aof.failure) say('bad', `The append-only file cannot be written: ${now.aof.failure}. New jobs are refused.`);
  for (const node of now.nodes) {
    const name = `${node.address ?? 'address unknown'} (${node.id.slice(0, 8)})`;
    if (node.state === 'failing') say('bad', `Node ${name} is down: most nodes cannot reach it. Its jobs are queued again by those that hold copies.`);
    if (node.state === 'suspected') say('warn', `Node ${name} does not answer this node.`);
  }
  if (now.memory.max > 0 && now.memory.used > now.memory.max * 0.95) say('bad', 'Memory is above 95 % of maxmemory: new jobs are refused unless something can be evicted.');
  else if (now.memory.max > 0 && now.memory.used > now.memory.max * 0.75) say('warn', 'Memory is above 75 % of maxmemory: other nodes are asked to keep new jobs.');
  el('notices').replaceChildren(...notices);
}

function drawNodes(now) {
  const states = { good: ['good', 'good'], suspected: ['no answer', 'warn'], failing: ['down', 'bad'], handshake: ['joining', 'soft'] };
  const rows = now.nodes.map((node) => {
    const [word, kind] = states[node.state];
    return make('tr', {},
      make('td', { class: 'mono', title: node.id }, node.id.slice(0, 8)),
      make('td', { class: 'mono' }, node.address ?? `port ${node.port}`),
      make('td', { class: kind }, word + (node.leaving ? ', leaving' : '')),
      make('td', {}, node.myself ? 'this node' : node.linked ? 'up' : 'none'),
      make('td', { class: 'number' }, node.myself || node.heard === null ? '–' : span(node.heard) + ' ago'));
  });
  el('nodes').tBodies[0].replaceChildren(...rows);
}

// ---- Queues ----------------------------------------------------------------------------------------------------

function pauseWords(pause) {
  return { none: '', in: 'takes no jobs', out: 'hands out none', all: 'both ways' }[pause];
}

function drawQueues() {
  const { queues, total, found } = seen.queues;
  const body = el('queues').tBodies[0];
  const focused = document.activeElement?.closest?.('#queues tbody tr')?.dataset.key;
  const rows = queues.map((queue) => {
    const points = seen.byQueue.get(key(queue.name)) ?? [];
    const jobs = points.map((point) => point.jobs);
    const row = make('tr', { tabindex: '0', 'data-key': key(queue.name), 'aria-label': `Queue ${shown(queue.name)}, ${queue.jobs} jobs` },
      make('td', { class: 'name', title: shown(queue.name) }, shown(queue.name)),
      make('td', { class: 'number' }, count(queue.jobs)),
      make('td', { class: 'number' }, count(queue.in_flight)),
      make('td', { class: 'plot' }, plot([jobs], 'Jobs in the queue, last 5 minutes')),
      make('td', { class: 'number' }, rate(speed(points, 'in'))),
      make('td', { class: 'number' }, rate(speed(points, 'out'))),
      make('td', { class: 'number' }, queue.age === null ? '–' : span(queue.age)),
      make('td', { class: 'number' }, count(queue.waiting)),
      make('td', { class: queue.pause === 'none' ? 'soft' : 'warn' }, pauseWords(queue.pause)));
    row.addEventListener('click', () => openQueue(queue.name));
    return row;
  });
  if (rows.length === 0) {
    const cell = make('td', { colspan: '9' });
    if (view.find !== '') cell.append(`No queue has “${view.find}” in its name.`);
    else cell.append('There are no queues yet. This adds a first job: ', make('code', {}, 'disque ADDJOB emails "welcome alice" 0'));
    rows.push(make('tr', { class: 'empty' }, cell));
  }
  body.replaceChildren(...rows);
  if (focused) Array.from(body.rows).find((row) => row.dataset.key === focused)?.focus();
  const filtered = view.find === '' ? '' : ` with “${view.find}”`;
  el('shown').textContent = queues.length < found ? `${count(queues.length)} of ${count(found)} queues${filtered}` : `${count(found)} queues${filtered}` + (found < total ? ` of ${count(total)}` : '');
  el('more').hidden = queues.length >= found || view.limit >= MOST_QUEUES;
  for (const button of document.querySelectorAll('[data-sort]')) {
    const on = button.dataset.sort === view.sort;
    button.parentElement.setAttribute('aria-sort', on ? (view.sort === 'name' ? 'ascending' : 'descending') : 'none');
  }
}

function remember() {
  const { overview, queues } = seen;
  push(seen.node, { at: overview.now, queued: overview.jobs.queued, commands: overview.commands });
  for (const queue of queues.queues) {
    const points = seen.byQueue.get(key(queue.name)) ?? [];
    push(points, { at: queues.now, jobs: queue.jobs, in: queue.in, out: queue.out });
    seen.byQueue.set(key(queue.name), points);
  }
  // Queues that were not shown for as long as a plot lasts are let go.
  for (const [name, points] of seen.byQueue) {
    if (queues.now - points.at(-1).at > KEPT * PERIOD) seen.byQueue.delete(name);
  }
}
function push(points, point) {
  if (points.length > 0 && points.at(-1).at >= point.at) return;
  points.push(point);
  if (points.length > KEPT) points.shift();
}

// ---- One queue, one job ----------------------------------------------------------------------------------------

function facts(pairs) {
  const list = make('dl');
  for (const [name, value] of pairs) list.append(make('dt', {}, name), make('dd', {}, value));
  return list;
}

/** A job; its queue is told unless it is known. */
function drawJob(job, inQueue = false) {
  const created = new Date(job.created).toISOString().replace('T', ' ').replace('Z', ' UTC');
  const pairs = [
    ['State', job.state],
    ['Created', `${created}, ${span(Math.max(0, job.now - job.created))} ago`],
    ['Copies', `${job.nodes.length} of ${job.replicate}`],
    ['Deliveries again', `${job.nacks} after NACK, ${job.additional_deliveries} others`],
    ['Retry', job.retry === 0 ? 'never: at most once' : span(job.retry)],
    ['Forgotten in', span(job.ttl)],
  ];
  if (job.delay > 0) pairs.push(['Delay', span(job.delay)]);
  if (job.queue !== null && !inQueue) pairs.unshift(['Queue', shown(job.queue)]);
  const box = make('div', { class: 'job' }, make('div', { class: 'mono' }, job.id), facts(pairs));
  if (job.body === null) box.append(make('p', { class: 'soft' }, 'Its body is not known here any more.'));
  else box.append(make('div', { class: 'soft' }, `Body, ${bytes(job.size)}${cutNote(job)}`), make('pre', { tabindex: '0' }, shownBody(job.body)));
  return box;
}
function cutNote(job) {
  const told = typeof job.body === 'string' ? new TextEncoder().encode(job.body).length : bytesOf(job.body.base64).length;
  return told < job.size ? ` (the first ${bytes(told)})` : typeof job.body === 'string' ? '' : ' (not text)';
}
function shownBody(body) {
  if (typeof body !== 'string') return shown(body);
  try {
    const value = JSON.parse(body);
    if (typeof value === 'object' && value !== null) return JSON.stringify(value, null, 2);
  } catch { /* not JSON: shown as it is */ }
  return body;
}

function openDetail(title, ...children) {
  el('detail-title').textContent = title;
  el('detail-body').replaceChildren(...children);
  if (!el('detail').open) el('detail').showModal();
}
const fault = (error) => make('p', { class: 'notice bad', role: 'alert' }, error.message);

async function openQueue(name) {
  const title = `Queue ${shown(name)}`;
  try {
    const { queue, next } = await ask(`api/queue?name=${queryOf(name)}`);
    const jobs = next.length > 0 ? next.map((job) => drawJob(job, true)) : [make('p', { class: 'soft' }, 'No job waits in it on this node.')];
    const heading = make('h2', {}, next.length < queue.jobs ? `The next ${next.length} of ${count(queue.jobs)} jobs` : 'Waiting jobs');
    openDetail(title, pauseButtons(name, queue.pause), heading, ...jobs);
  } catch (error) {
    openDetail(title, fault(error));
  }
}

function pauseButtons(name, pause) {
  const states = [['none', 'Open'], ['in', 'Take no jobs'], ['out', 'Hand out none'], ['all', 'Pause both']];
  const box = make('div', { class: 'actions', role: 'group', 'aria-label': 'Pause on all nodes' }, make('span', { class: 'soft' }, 'On all nodes:'));
  for (const [state, text] of states) {
    const button = make('button', { type: 'button', 'aria-pressed': String(state === pause), 'data-state': state }, text);
    button.addEventListener('click', async () => {
      try {
        const headers = { 'Content-Type': 'application/json', 'X-Disque-Action': 'pause' };
        await ask('api/pause', { method: 'POST', headers, body: JSON.stringify({ queue: name, state }) });
        await openQueue(name);
        el('detail').querySelector(`[data-state="${state}"]`)?.focus();
        await look();
      } catch (error) {
        box.append(fault(error));
      }
    });
    box.append(button);
  }
  return box;
}

async function openJob(id) {
  try {
    openDetail('Job', drawJob(await ask(`api/job?id=${encodeURIComponent(id)}`)));
  } catch (error) {
    openDetail('Job', fault(error));
  }
}

// ---- Looking again ---------------------------------------------------------------------------------------------

let looking = 0;
async function look() {
  const mine = ++looking;
  try {
    const find = view.find === '' ? '' : `&find=${encodeURIComponent(view.find)}`;
    const overview = await ask('api/overview');
    const queues = overview.loading ? { now: overview.now, total: 0, found: 0, queues: [] } : await ask(`api/queues?sort=${view.sort}&limit=${view.limit}${find}`);
    if (mine !== looking) return; // a later look is under way
    Object.assign(seen, { overview, queues });
    remember();
    drawOverview();
    drawQueues();
    el('state').textContent = '';
    el('state').className = '';
    document.body.dataset.looked = 'yes';
  } catch (error) {
    if (mine !== looking) return;
    const known = seen.overview ? `; shown is ${new Date(seen.overview.now).toLocaleTimeString()}` : '';
    el('state').textContent = `No answer: ${error.name === 'TimeoutError' ? 'timed out' : error.message}${known}`;
    el('state').className = 'late';
  }
}
async function lookOn() {
  // A page that nobody sees asks once, and then rests.
  if (!document.hidden || seen.overview === null) await look();
  setTimeout(lookOn, PERIOD);
}

// ---- Keys and controls -----------------------------------------------------------------------------------------

const THEMES = ['system', 'light', 'dark'];
function setTheme(theme) {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  el('theme').textContent = `Theme: ${theme}`;
  try { localStorage.setItem('theme', theme); } catch { /* not kept, then */ }
}
function savedTheme() {
  try { return localStorage.getItem('theme'); } catch { return null; }
}
function nextTheme() {
  const now = document.documentElement.dataset.theme ?? 'system';
  setTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || el('detail').open) return;
  const row = event.target.closest?.('#queues tbody tr');
  const typing = event.target instanceof HTMLInputElement;
  if (typing && event.key === 'Escape') return event.target.blur();
  if (!typing && event.key === '/') { event.preventDefault(); el('find').focus(); }
  else if (!typing && event.key === 'j') { event.preventDefault(); el('job-id').focus(); }
  else if (!typing && event.key === 't') nextTheme();
  else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
    if (typing && event.target !== el('find')) return;
    const rows = Array.from(document.querySelectorAll('#queues tbody tr[tabindex]'));
    const at = row ? rows.indexOf(row) + (event.key === 'ArrowDown' ? 1 : -1) : 0;
    if (rows[at]) { event.preventDefault(); rows[at].focus(); }
  } else if (event.key === 'Enter' && row) row.click();
});
for (const button of document.querySelectorAll('[data-sort]')) {
  button.addEventListener('click', () => { view.sort = button.dataset.sort; look(); });
}
el('find').addEventListener('input', () => { view.find = el('find').value; view.limit = PAGE_OF_QUEUES; look(); });
el('more').addEventListener('click', () => { view.limit = Math.min(MOST_QUEUES, view.limit * 3); look(); });
el('job-form').addEventListener('submit', (event) => { event.preventDefault(); openJob(el('job-id').value.trim()); });
el('close').addEventListener('click', () => el('detail').close());
el('theme').addEventListener('click', nextTheme);
document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });

/** Links lead to a queue (#queue=…) or a job (#job=…). */
function follow() {
  const [what, value] = location.hash.slice(1).split(/=(.*)/s);
  let text = value;
  try { text = decodeURIComponent(value ?? ''); } catch { /* taken as it is */ }
  if (what === 'queue') openQueue(text);
  else if (what === 'job') openJob(text);
}
addEventListener('hashchange', follow);

setTheme(THEMES.includes(savedTheme()) ? savedTheme() : 'system');
lookOn();
follow();
