// The page /organiser: who waits, which questions are answered now, what came of the others, and how fast models are.
const $ = (id) => document.getElementById(id);
const say = window.say ?? ((text, values = {}) => text.replace(/{(\w+)}/g, (_, name) => values[name]));
const TEXTS = {
  title: say('What happens now'), now: say('Questions now'), models: say('Models'), errors: say('Errors'),
  percentiles: say('p50 and p95: half of the last 500 answers, and 95 of 100, do not exceed this. The first token counts from the request to the model, after the wait in line.'),
};
const OUTCOMES = {
  answered: say('Answered'), escalated: say('Escalated'), quoted: say('Quotes'), abstained: say('Without a model'), failed: say('Failed'), stopped: say('Stopped'),
};
const RUNNING = [say('Person'), say('In line'), say('Model'), say('Since'), say('Mode')];
const MODELS = [say('Model'), say('Address'), say('Loaded'), say('Waiting'), say('Writing'), say('Answers'), say('First token, p50 / p95'), say('Tokens/s, p50 / p95')];
const MODES = { auto: say('Auto'), small: say('Small'), large: say('Large'), compare: say('Compare'), refine: say('Refine') };
const EVERY = 2000; // ms

const element = (tag, text = '') => Object.assign(document.createElement(tag), { textContent: text });
const filled = (tag, ...parts) => { const made = element(tag); made.append(...parts); return made; };
const figure = (value, digits = 0) => value?.toLocaleString(document.documentElement.lang, { minimumFractionDigits: digits, maximumFractionDigits: digits }) ?? '–';
const seconds = (value, digits = 0) => (value == null ? '–' : `${figure(value, digits)} s`);

function table(id, columns, rows, nothing) {
  if (!rows.length) return $(id).replaceChildren(filled('caption', nothing));
  const head = filled('tr', ...columns.map((each) => Object.assign(element('th', each), { scope: 'col' })));
  const lines = rows.map(([first, ...cells]) => filled('tr', Object.assign(element('th', first), { scope: 'row' }), ...cells.map((each) => element('td', each))));
  $(id).replaceChildren(filled('thead', head), filled('tbody', ...lines));
}

function place(line) {
  if (!line) return say('is being answered');
  const [number, left] = line;
  return left == null ? figure(number) : say('{number}, about {seconds} s', { number: figure(number), seconds: figure(Math.max(1, Math.ceil(left))) });
}

function show({ running, samples }) {
  const all = (name) => samples.filter(([each]) => each === name);
  const one = (name, labels) => all(name).find(([, has]) => Object.entries(labels).every(([key, value]) => has[key] === value))?.[2];
  const pair = (name, model, digits) => ['0.5', '0.95'].map((quantile) => one(name, { model, quantile })).map((each) => figure(each, digits)).join(' / ');
  $('outcomes').replaceChildren(...Object.entries(OUTCOMES).map(([outcome, name]) => filled('div', element('dt', name), element('dd', figure(one('turns_total', { outcome }))))));
  table('running', RUNNING, running.map((it) => [it.person || say('this machine'), place(it.line), it.model || '–', seconds(it.seconds), MODES[it.mode]]), say('Nobody asks anything at the moment.'));
  const states = new Map(all('model_loaded').map(([, labels, loaded]) => [labels.model, { ...labels, loaded }]));
  const models = [...new Set([...states.keys(), ...all('questions_waiting').map(([, { model }]) => model), ...all('first_token_seconds').map(([, { model }]) => model)])];
  table('models', MODELS, models.map((model) => {
    const { address, loaded } = states.get(model) ?? {};
    return [
      model, address || '–', loaded ? say('yes') : say('no'), figure(one('questions_waiting', { model }) ?? 0), figure(one('answers_writing', { model }) ?? 0),
      figure(one('first_token_seconds_count', { model }) ?? 0), `${pair('first_token_seconds', model, 1)} s`, pair('tokens_per_second', model, 0),
    ];
  }), '–');
  const errors = all('errors_total').map(([, { kind }, number]) => element('li', `${kind}: ${figure(number)}`));
  $('errors').replaceChildren(...(errors.length ? errors : [element('li', say('None so far.'))]));
}

async function update() {
  let state = '';
  try {
    const response = await fetch('organiser/figures', { cache: 'no-store' });
    if (!response.ok) throw new Error(response.statusText);
    show(await response.json());
  } catch {
    state = say('The server does not answer. The figures are from before.');
  }
  if ($('state').textContent !== state) $('state').textContent = state; // a screen reader reads each change
  setTimeout(update, EVERY);
}

document.title = `Escalator · ${TEXTS.title}`;
for (const each of document.querySelectorAll('[data-text]')) each.textContent = TEXTS[each.dataset.text];
update();
