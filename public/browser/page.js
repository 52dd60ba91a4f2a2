// The page /browser: asks models on the server and one in this browser, and compares their times.
const $ = (id) => document.getElementById(id);
const say = window.say ?? ((text, values = {}) => text.replace(/{(\w+)}/g, (_, name) => values[name]));
const TEXTS = {
  title: say('Models side by side, one of them in this browser'),
  lead: say('Ask a model on this machine’s server, or one that this browser runs itself. Nothing leaves the machine.'),
  question: say('Question'), from: say('Answer from'), documents: say('the documents'),
  text: say('this text (empty: without any text)'), who: say('Who answers'), key: say('Key of the server (ESCALATOR_GATEWAY_KEY)'),
  small: say('the small model'), large: say('the large model'), browser: say('this browser'),
  model: say('Model'), device: say('Runs on'), unload: say('Unload'), ask: say('Ask'), stop: say('Stop'), runs: say('Runs'),
  times: say('Times'), medians: say('Medians of the runs'), csv: say('Download as CSV'),
  measured: say('First token and total count from the question, loading apart. For models on the server, the first run may include loading. Tokens per second count after the first token.'),
  checking: say('Check'), check: say('Check ONNX Runtime Web'),
  checks: say('Shows what this browser offers, and computes a small model on the graphics processor (WebGPU) and on the processor (WebAssembly), whose result is known.'),
};
const COLUMNS = [say('Model'), say('Start'), say('Runs'), say('Load'), say('First token'), say('Total'), say('Tokens/s'), say('Tokens')];
const STARTS = { cold: say('first'), cached: say('from the cache'), warm: say('warm') };
const FIELDS = ['load', 'first', 'total', 'speed', 'tokens'];
const SHORTEST = 20; // ms for pieces of an answer to have come one by one
const PATIENCE = 1000; // ms for a model in the browser to stop between two tokens; while it reads a prompt, it cannot

const runs = [];
const asked = new Set(); // models of the server that have answered before
let cards = {}, server, worker, pending, loaded, gpu, stopped, request;

const element = (tag, text = '', attributes = {}) => Object.assign(document.createElement(tag), { textContent: text }, attributes);
const filled = (tag, ...parts) => { const made = element(tag); made.append(...parts); return made; };
const status = (text) => { $('status').textContent = text; };
const figure = (value, digits = 0) => value?.toLocaleString(document.documentElement.lang, { minimumFractionDigits: digits, maximumFractionDigits: digits }) ?? '–';
const seconds = (ms) => (ms == null ? '–' : `${figure(ms / 1000, ms < 10_000 ? 2 : 1)} s`);
const median = (values) => {
  const known = values.filter((each) => each != null).sort((a, b) => a - b), middle = known.length >> 1;
  return known.length ? (known.length % 2 ? known[middle] : (known[middle - 1] + known[middle]) / 2) : null;
};
const address = (relative) => new URL(relative, document.baseURI).href;
const path = (relative) => new URL(relative, document.baseURI).pathname; // by which transformers.js knows that it is here
const folder = ({ name, version }) => address(`models/${name}/${version}/`);

const busy = (is) => { $('ask').disabled = is, $('check').disabled = is || !server.runtime, $('stop').disabled = !is; };

// The model in the browser.

function call(task, data = {}, show = () => {}) {
  worker ??= new Worker('worker.js', { type: 'module' });
  return new Promise((done, failed) => {
    pending = { failed };
    worker.onerror = (event) => failed(new Error(event.message || say('The browser cannot start the worker.')));
    worker.onmessage = ({ data: said }) => {
      if ('done' in said) done(said.done);
      else if ('failed' in said) failed(new Error(said.failed));
      else show(said);
    };
    worker.postMessage({ task, ...data });
  });
}

function unload() {
  worker?.terminate();
  pending?.failed(new DOMException('', 'AbortError'));
  worker = loaded = pending = undefined;
  $('unload').disabled = true;
}

async function prepared(device = $('device').value) {
  const model = server.models[$('model').value], wanted = `${model.version} ${device}`;
  if (loaded?.wanted === wanted) return { start: 'warm', load: null };
  unload();
  const data = { runtime: address(server.runtime), current: server.models.map(folder), model: { ...model, folder: path(`models/${model.name}/`), address: folder(model) }, device };
  const told = await call('load', data, ({ progress }) => status(progress < 100 ? say('Loading {model}: {percent} %', { model: model.name, percent: Math.floor(progress / 10) * 10 }) : say('Starting {model} …', { model: model.name })));
  loaded = { wanted, name: `${model.name} · ${device === 'webgpu' ? 'WebGPU' : 'WebAssembly'} · ${told.dtype}` };
  $('unload').disabled = false;
  return { start: told.cached ? 'cached' : 'cold', load: told.loaded };
}

async function preparedAnyhow() {
  try {
    return await prepared();
  } catch (error) {
    if (stopped || $('device').value === 'wasm') throw error;
    $('device').value = 'wasm'; // in a new worker: in one where WebGPU has failed, WebAssembly fails too
    return { ...await prepared(), note: say('WebGPU failed, so the processor computes: {why}', { why: error.message }) };
  }
}

async function askBrowser(question, reference, show) {
  const { note, ...start } = await preparedAnyhow();
  if (stopped) throw new DOMException('', 'AbortError');
  const began = performance.now();
  const prompt = await posted('prompt', { question, reference });
  show({ model: loaded.name, note, evidence: prompt.evidence, text: prompt.text });
  if (!prompt.messages.length) return null;
  status(say('{model} reads the question and the passages …', { model: loaded.name }));
  const fetched = performance.now() - began;
  const told = await call('answer', { messages: prompt.messages, stop: prompt.stop, max: prompt.max_tokens }, show);
  if (told.tooLong) throw new Error(say('The prompt has {number} tokens, more than this model takes.', { number: told.tooLong }));
  return { ...start, ...told, first: told.first + fetched, total: told.total + fetched };
}

// The models on the server.

async function posted(path, body) {
  request = new AbortController();
  const headers = { 'content-type': 'application/json', ...(server.key && { authorization: `Bearer ${$('key').value}` }) };
  const response = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body), signal: request.signal });
  if (!response.ok) throw new Error((await response.json().catch(() => null))?.error?.message ?? response.status);
  return body.stream ? response : response.json();
}

async function askServer(role, question, reference, show) {
  const began = performance.now(), start = asked.has(role) ? 'warm' : 'cold';
  const body = { model: `escalator-${role}`, messages: [{ role: 'user', content: question }], reference, stream: true, stream_options: { include_usage: true } };
  status(say('Waiting for {model} …', { model: TEXTS[role] }));
  const reader = (await posted('../v1/chat/completions', body)).body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '', text = '', first, last, usage;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const lines = (rest + part.value).split('\n');
    rest = lines.pop();
    for (const line of lines.filter((each) => each.startsWith('data: {'))) {
      const chunk = JSON.parse(line.slice(6));
      if (chunk.error) throw new Error(chunk.error.message);
      const delta = chunk.choices?.[0]?.delta ?? {};
      usage = chunk.usage ?? usage;
      if (chunk.escalator) show({ model: chunk.escalator.model, note: chunk.escalator.notices.join(' '), text: text || chunk.escalator.text });
      if (delta.annotations) show({ evidence: delta.annotations.map((each) => each.url_citation) }); // beside our lines below the answer
      if (!delta.content || delta.annotations) continue;
      last = performance.now(), first ??= last;
      show({ text: text += delta.content });
    }
  }
  if (!first) return null; // no model has answered
  asked.add(role);
  const tokens = usage?.completion_tokens;
  return { start, load: null, first: first - began, total: performance.now() - began, tokens, prompt: usage?.prompt_tokens, speed: tokens > 1 && last - first > SHORTEST ? (tokens - 1) * 1000 / (last - first) : null };
}

// Asking, and what is shown of it.

function card(target) {
  const name = element('h2', TEXTS[target]), said = element('p'), noted = element('p', '', { className: 'quiet', hidden: true });
  const items = element('ol'), list = filled('details', element('summary', say('Passages')), items), article = filled('article', name, noted, said, list);
  list.hidden = true;
  $('answers').insertBefore(article, cards[target]?.article ?? null);
  cards[target]?.article.remove();
  cards[target] = { name, article };
  return ({ model, note, text, evidence = [] }) => {
    if (model) name.textContent = model;
    if (note) Object.assign(noted, { textContent: note, hidden: false });
    if (text) said.textContent = text;
    items.append(...evidence.map((it) => element('li', `${it.file}, ${it.place}`, { value: it.number })));
    list.hidden = !items.children.length;
  };
}

async function ask(event) {
  event.preventDefault();
  const question = $('question').value.trim(), reference = $('form').elements.from.value === 'text' ? $('reference').value : null;
  const targets = [...document.querySelectorAll('[name=target]:checked')].map((each) => each.value);
  if (!targets.length) return status(say('Choose who answers.'));
  $('answers').replaceChildren();
  busy(true);
  stopped = false, cards = {};
  status('');
  let said = '';
  for (let run = 0; run < $('runs').valueAsNumber && !stopped; run += 1) {
    for (const target of targets) {
      const show = card(target);
      try {
        const times = target === 'browser' ? await askBrowser(question, reference, show) : await askServer(target, question, reference, show);
        if (times && !stopped) runs.push({ at: new Date().toISOString(), target: cards[target].name.textContent, ...times, source: reference === null ? 'documents' : 'text' });
      } catch (error) {
        if (!stopped) show({ note: error.message });
        said = error.message;
      }
      if (stopped) break;
    }
    draw();
  }
  status(stopped ? say('Stopped.') : said || say('Done.'));
  busy(false);
}

function stop() {
  const now = pending;
  stopped = true;
  request?.abort();
  worker?.postMessage({ task: 'stop' });
  setTimeout(() => { if (!$('stop').disabled && pending === now) unload(); }, PATIENCE);
}

// Times: one line for each model and kind of start.

function groups() {
  const kinds = [...new Set(runs.map(({ target }) => target))].flatMap((target) => Object.keys(STARTS).map((start) => runs.filter((run) => run.target === target && run.start === start)));
  return kinds.filter((each) => each.length).map((each) => ({ ...each[0], count: each.length, ...Object.fromEntries(FIELDS.map((field) => [field, median(each.map((run) => run[field]))])) }));
}

function draw() {
  const rows = groups();
  $('times').hidden = !rows.length;
  $('rows').replaceChildren(...rows.map((row) => {
    const cells = [STARTS[row.start], row.count, seconds(row.load), seconds(row.first), seconds(row.total), figure(row.speed, 1), figure(row.tokens)];
    return filled('tr', element('th', row.target, { scope: 'row' }), ...cells.map((text) => element('td', text)));
  }));
  const values = rows.flatMap(({ first, total }) => [first, total]).filter(Boolean);
  if (!values.length) return;
  // A logarithmic scale, from a power of ten below the shortest time: also what takes a twentieth has a bar to be seen.
  const least = Math.floor(Math.log10(Math.min(...values) * 0.8)), most = Math.max(least + 1, Math.ceil(Math.log10(Math.max(...values))));
  const place = (ms) => `${100 * (Math.log10(ms) - least) / (most - least)}%`;
  const bar = (ms, className) => {
    const span = element('span', '', { className });
    Object.assign(span.dataset, { time: seconds(ms) }), span.style.width = ms ? place(ms) : '0';
    return span;
  };
  const bars = element('div', '', { className: 'bars' }), plot = element('div', '', { className: 'plot' });
  for (let power = least; power < most; power += 1) {
    const tick = element('i', `${figure(10 ** (power - 3), Math.max(0, 3 - power))} s`);
    tick.style.left = place(10 ** power);
    plot.append(tick);
  }
  bars.append(plot, ...rows.map((row) => filled('div', element('b', `${row.target} · ${STARTS[row.start]}`), bar(row.first, 'first'), bar(row.total, ''))));
  const key = (className) => element('i', '', { className });
  $('chart').replaceChildren(bars, filled('figcaption', key('key first'), COLUMNS[4], key('key'), COLUMNS[5], ` (${say('logarithmic scale')})`));
  $('chart').ariaLabel = rows.map((row) => `${row.target}, ${STARTS[row.start]}: ${COLUMNS[4]} ${seconds(row.first)}, ${COLUMNS[5]} ${seconds(row.total)}`).join('; ');
}

function download() {
  const names = ['at', 'target', 'start', 'source', 'load', 'first', 'total', 'speed', 'prompt', 'tokens'];
  const cell = (value) => (typeof value === 'number' ? String(Math.round(value * 1000) / 1000) : `"${String(value ?? '').replaceAll('"', '""')}"`);
  const heads = names.map((name) => ({ load: 'load_ms', first: 'first_token_ms', total: 'total_ms', speed: 'tokens_per_s', prompt: 'prompt_tokens' })[name] ?? name);
  const lines = [heads.join(','), ...runs.map((run) => names.map((name) => cell(run[name])).join(','))];
  const link = element('a', '', { href: URL.createObjectURL(new Blob([lines.join('\r\n')], { type: 'text/csv' })), download: 'times.csv' });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// The check, and the start.

async function check() {
  busy(true);
  const lines = gpu
    ? [['WebGPU', gpu.name + (gpu.software ? ` (${say('software, slow')})` : '')], ...Object.entries(gpu.limits), [say('Features'), gpu.features.join(', ')]]
    : [['WebGPU', say('This browser offers no graphics processor here.')]];
  for (const [device, name] of [['webgpu', say('Result on WebGPU')], ['wasm', say('Result on WebAssembly')]].slice(gpu ? 0 : 1)) {
    status(say('Computing …'));
    unload();
    try {
      const it = await call('check', { runtime: address(server.runtime), home: path(''), device });
      const values = { difference: it.difference.toExponential(1), made: seconds(it.made), first: seconds(it.first), later: `${figure(it.later, 1)} ms` };
      const right = it.difference < 1e-4 ? say('right: off by {difference} at most', values) : say('wrong: off by {difference}', values);
      lines.push([name, `${right}; ${say('load {made}, first run {first}, later {later}', values)}`]);
    } catch (error) {
      lines.push([name, error.message]);
    }
  }
  $('checked').replaceChildren(...lines.flatMap(([name, value]) => [element('dt', name), element('dd', String(value))]));
  status(say('Done.'));
  unload();
  busy(false);
}

function complain(text, command = '') {
  $('missing').append(filled('p', `${text} `, element('code', command)));
  $('missing').hidden = false;
}

async function begin() {
  for (const each of document.querySelectorAll('[data-text]')) each.textContent = TEXTS[each.dataset.text];
  Object.assign($('reference'), { ariaLabel: TEXTS.text }), document.title = `${TEXTS.title} – Escalator`;
  $('columns').append(...COLUMNS.map((name) => element('th', name, { scope: 'col' })));
  server = await (await fetch('models')).json();
  if (server.missing.length) complain(say('This browser runs no model yet. Files are missing: {files}. This gets them:', { files: server.missing.join(', ') }), 'escalator browser get');
  if (!server.models.length) complain(say('There is no model in public/models. Put a folder there in the layout of transformers.js; docs/browser.md says how. Then reload this page.'));
  if (server.missing.length) server.runtime = '';
  else gpu = await call('look');
  $('check').disabled = !server.runtime, $('key').parentElement.hidden = !server.key;
  const ready = server.runtime && server.models.length > 0;
  server.models.forEach(({ name, size, precisions }, at) => $('model').append(element('option', `${name} (${precisions.join(', ')}; ${Math.ceil(size / 1e6)} MB)`, { value: at })));
  const offered = [['webgpu', gpu ? `WebGPU: ${gpu.name}` : `WebGPU: ${say('not available')}`, !gpu], ['wasm', say('the processor (WebAssembly)'), false]];
  $('device').append(...offered.map(([value, text, disabled]) => element('option', text, { value, disabled })));
  $('device').value = gpu && !gpu.software ? 'webgpu' : 'wasm';
  const box = document.querySelector('[value=browser]');
  box.disabled = !ready;
  (ready ? box : document.querySelector('[value=small]')).checked = true;
  $('local').hidden = !box.checked;
  $('form').onchange = () => {
    $('reference').hidden = $('form').elements.from.value !== 'text';
    $('local').hidden = !box.checked;
  };
  $('form').onsubmit = ask;
  for (const [id, action] of Object.entries({ stop, unload, csv: download, check })) $(id).onclick = action;
}

begin().catch((error) => status(error.message));
