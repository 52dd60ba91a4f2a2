// What Chainlit has no place for: the buttons "Documents" and "Models" in the header, the bar that shows how far reading
// is, the seconds that a row has been waiting, announcements to screen readers, files to save, and a conversation's own address.
const SILENT_MS = 5000; // without a report for so long the bar is hidden: the connection may be lost
const LONGEST_MS = 500; // between two draws of a conversation however long
const ANNOUNCED_MS = 1000; // then a screen reader has read it, and must not meet it a second time

document.addEventListener('click', ({ target }) => {
  const name = target.closest('[data-opens]')?.dataset.opens;
  if (name) window.postMessage(name, location.origin); // Chainlit hands it to app/main.py
});

// Chainlit lets no button below an answer be pressed while another one is written. These only open a panel.
const LOOKING = '[data-step-type=assistant_message] button:has(> :is(.lucide-cpu, .lucide-receipt, .lucide-upload, .lucide-download))';
document.addEventListener('click', ({ target }) => {
  const button = target.closest('button');
  if (button?.matches(LOOKING) && document.getElementById('stop-button')) window.postMessage(button.id, location.origin);
});

const bar = document.createElement('div');
bar.id = 'reading';
bar.hidden = true;
bar.innerHTML = '<p></p><progress max="100"></progress>';
bar.querySelector('progress').ariaLabel = say('Reading your documents');
document.body.append(bar);

const announcer = document.createElement('div');
announcer.id = 'announcement';
announcer.setAttribute('role', 'status');
document.body.append(announcer);
const announce = (text) => {
  announcer.textContent = text;
  setTimeout(() => { announcer.textContent = ''; }, ANNOUNCED_MS);
};
window.addEventListener('message', ({ source, data }) => {
  if (source === window && data?.about === 'announcement') announce(data.text);
});

/** Have the browser save a text of the server as a file. */
window.save = ({ name, text }) => {
  const type = name.endsWith('.html') ? 'text/html' : 'text/markdown';
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href));
};

const since = new WeakMap(); // a waiting row -> its text, and when that text appeared
setInterval(() => {
  document.querySelectorAll('.loading-shimmer').forEach((row) => {
    if (since.get(row)?.text !== row.textContent) since.set(row, { text: row.textContent, at: Date.now() });
    const seconds = Math.round((Date.now() - since.get(row).at) / 1000);
    row.dataset.waited = seconds > 1 ? ` · ${say('{seconds} s', { seconds })}` : '';
  });
}, 500);

const facts = document.createElement('div');
facts.id = 'facts';
window.addEventListener('message', ({ source, data }) => {
  if (source !== window || data?.about !== 'start') return;
  facts.replaceChildren(...data.lines.map((line) => {
    const shown = document.createElement('p');
    shown.textContent = line;
    return shown;
  }));
});
// The start page comes and goes with new chats.
setInterval(() => {
  const start = document.getElementById('welcome-screen');
  if (start && facts.parentElement !== start) start.append(facts);
}, 200);

let silence;
window.addEventListener('message', ({ source, data }) => {
  if (source !== window || data?.about !== 'reading') return;
  clearTimeout(silence);
  bar.hidden = !data.reading || Boolean(document.querySelector('.corpus')); // where the panel says it
  if (!data.reading) return;
  bar.querySelector('p').textContent = data.reading.text;
  bar.querySelector('progress').value = data.reading.percent;
  silence = setTimeout(() => { bar.hidden = true; }, SILENT_MS);
});

// The list of conversations gives a new one its address, so that a reload finds it; where the list is folded, as on a phone,
// nobody would.
window.addEventListener('message', ({ source, data }) => {
  if (source !== window || data?.about !== 'conversation' || location.pathname !== '/') return;
  if (!document.querySelector('#thread-history')) history.replaceState(history.state, '', `/thread/${data.id}`);
});

// Chainlit draws the whole conversation at each event of the server, and an answer brings dozens. Those that come while it
// draws, and for as long afterwards, are handed over together: React draws them once. The title of a panel comes by itself,
// because Chainlit names a panel by its component when it has drawn that.
const TITLE = /^42\["set_sidebar_title"/;
const socket = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage');
Object.defineProperty(WebSocket.prototype, 'onmessage', { ...socket, set(take) {
  let waiting = null; // the events that came since the last draw began; null while nothing is drawn
  const deliver = (events) => {
    const began = performance.now();
    const title = events.findIndex(({ data }, at) => at > 0 && TITLE.test(data));
    waiting = title > 0 ? events.splice(title) : [];
    for (const event of events) {
      if (TITLE.test(event.data) && !document.getElementById('side-view-content')) continue; // it would open it again
      try {
        take(event);
      } catch (error) { // it stops no other event
        reportError(error);
      }
    }
    setTimeout(() => setTimeout(() => {
      if (waiting.length) deliver(waiting);
      else waiting = null;
    }, Math.min(performance.now() - began, LONGEST_MS)));
  };
  socket.set.call(this, take && ((event) => (waiting ? waiting.push(event) : deliver([event]))));
} });

// Who uses the page stays the same while the server cannot be reached: Chainlit would leave the chat for the login. Only in a
// room people have names.
const PHRASES = { 400: 'Bad Request', 401: 'Unauthorized', 409: 'Conflict', 429: 'Too Many Requests', 503: 'Service Unavailable' };
const request = window.fetch;
let user = { identifier: 'you', metadata: {} };
window.fetch = async (address, ...rest) => {
  const asksWho = new URL(address, location).pathname === '/user';
  const answer = await request(address, ...rest).catch((error) => {
    if (!asksWho) throw error;
    return Response.json(user);
  });
  if (asksWho && answer.ok) {
    user = await answer.clone().json();
    document.documentElement.classList.toggle('in-room', user.identifier !== 'you');
  }
  // By these the page of the login finds what to say, and HTTP/2 has none.
  if (!answer.ok && !answer.statusText) Object.defineProperty(answer, 'statusText', { value: PHRASES[answer.status] ?? '' });
  return answer;
};

// What the keyboard and screen readers need and Chainlit's page lacks: what each selector finds gets these attributes, and
// loses those that are null.
const LACKING = [
  ['#sidebar-trigger-button', { 'aria-label': say('Show or hide the conversations') }],
  ['[data-sidebar=rail]', { 'aria-label': say('Show or hide the conversations'), title: say('Show or hide the conversations') }],
  ['button:has(> .lucide-sun)', { 'aria-label': say('Light or dark') }],
  ['[role=dialog] > button:has(> .sr-only)', { 'aria-label': say('Close') }],
  ['#search-chats-button', { 'aria-label': say('Search the conversations') }],
  ['#new-chat-button', { 'aria-label': say('New chat') }],
  ['#upload-button-input + button', { 'aria-label': say('Attach files'), role: null }],
  ['#chat-settings-open-modal', { 'aria-label': say('Settings') }],
  ['#chat-submit', { 'aria-label': say('Send') }],
  ['#stop-button', { 'aria-label': say('Stop') }],
  ['button:has(> .lucide-copy)', { 'aria-label': say('Copy') }],
  ['button:has(> .lucide-pencil)', { 'aria-label': say('Edit') }],
  ['button:has(> .lucide-thumbs-up)', { 'aria-label': say('Good answer') }],
  ['button:has(> .lucide-thumbs-down)', { 'aria-label': say('Bad answer') }],
  ['button:has(> .lucide-arrow-left)', { 'aria-label': say('Back to the chat') }],
  ['button:has(> .lucide-arrow-down)', { 'aria-label': say('To the end of the conversation') }],
  [LOOKING, { disabled: null }],
  // A picture of one's own beside a name that says it.
  ['.ai-message > span img', { 'aria-hidden': 'true' }],
  // Chainlit makes a button with a link inside, a menu in a button in a link, and a list of no entries.
  ['#header button:has(> a[href="#documents"])', { 'data-opens': 'Documents' }],
  ['#header button:has(> a[href="#models"])', { 'data-opens': 'Models' }],
  ['[data-opens] > a', { href: null }],
  ['[data-opens] img', { 'aria-hidden': 'true' }],
  ['[id^=thread-] > a > button', { role: 'link', tabindex: '-1' }],
  ['#thread-options', { role: 'button', tabindex: '0', 'aria-label': say('Rename or delete') }],
  ['[data-sidebar=menu]:has(> div)', { role: 'none' }],
  ['[data-sidebar=sidebar]', { role: 'navigation', 'aria-label': say('Conversations') }],
  // Each paragraph would be an article of its own, and the empty place where files are dropped a stop for the Tab key.
  ['[role=article]:not(.step)', { role: null }],
  ['div[role=presentation][tabindex="0"]', { tabindex: '-1' }],
  ['[role=region][data-orientation]', { role: null, 'aria-labelledby': null }],
  ['h3[data-orientation]', { 'aria-level': '2' }],
  ['[data-resize-handle]', { 'aria-controls': null, 'aria-label': say('Width of the panel') }],
  [':is(aside, [role=dialog]):has(#side-view-title)', { 'aria-labelledby': 'side-view-title' }],
  ['#side-view-content', { tabindex: '0' }],
  ['div.overflow-auto:has(> table)', { tabindex: '0', role: 'group', 'aria-label': say('Table') }],
];
const ESCALATED = ':scope > div > div > .ai-message > span .lucide-arrow-up-right';
const SPEAKING = '.step:is([data-step-type=user_message], [data-step-type=assistant_message])';

function mend(root) {
  const all = (selector) => [...(root.matches(selector) ? [root] : []), ...root.querySelectorAll(selector)];
  for (const [selector, attributes] of LACKING) {
    for (const found of all(selector)) {
      for (const [name, value] of Object.entries(attributes)) {
        if (value === null) found.removeAttribute(name);
        else found.setAttribute(name, value);
      }
    }
  }
  all('.step').forEach(label);
}

function label(step) {
  if (!step.matches(SPEAKING)) { // a rule with :has() would have the style of the page computed anew with each push
    step.toggleAttribute('data-escalated', Boolean(step.querySelector(ESCALATED)));
    return;
  }
  const said = speaker(step);
  if (step.getAttribute('aria-label') === said) return;
  step.setAttribute('role', 'article');
  step.setAttribute('tabindex', '-1');
  step.setAttribute('aria-label', said);
}

function speaker(step) {
  if (step.dataset.stepType === 'user_message') return say('Your question');
  const author = step.querySelector('.ai-message > span img')?.alt.replace(/^Avatar for /, ''); // once its picture is there
  return author ? say('Answer by {name}', { name: author }) : say('Answer');
}

const title = document.createElement('h1');
title.className = 'sr-only';
title.textContent = document.title;

const lastAnswer = () => [...document.querySelectorAll('[data-step-type=assistant_message]')].at(-1);
const textOf = (step) => step?.querySelector('.message-content')?.innerText ?? '';

// A panel closes by Esc, unless something above it takes the key, and what opened it has the focus again.
// A tooltip, which a button that was just pressed may still show, closes by the same press.
let above = null;
window.addEventListener('keydown', () => { above = document.querySelector('[role=dialog], [role=menu], [role=listbox]'); }, true);
document.addEventListener('keydown', ({ key }) => {
  if (key === 'Escape' && !above) document.querySelector('#side-view-title > button')?.click();
});
let opener = null;
let panel = null;
document.addEventListener('click', ({ target }) => {
  const button = target.closest('button, a, [role=button]');
  if (!button || button.closest('aside, [role=dialog]')) return;
  opener = button;
  chosen = button.hasAttribute('data-choice');
  const answer = button.closest('[data-step-type=assistant_message]');
  if (!answer || button.closest('.message-content') || button.matches(LOOKING)) return;
  pressed = answer;
  scrolled = false;
}, true);

// A button, or the one that has been drawn in its place.
const drawn = (button) => (button.isConnected ? button : [...document.querySelectorAll(button.tagName)]
  .find((each) => each.textContent === button.textContent && each.className === button.className));

const giveBack = () => { if (!panel && document.activeElement === document.body) drawn(opener)?.focus(); };

function follow(shown) {
  if (Boolean(shown) === Boolean(panel)) return;
  panel = shown;
  if (!panel) window.postMessage('closed', location.origin);
  // A dialog, or a panel that was hardly open, moves it first.
  if (!panel && opener) [100, 300, 900].forEach((wait) => setTimeout(giveBack, wait));
  else if (panel && !panel.contains(document.activeElement)) panel.focus({ preventScroll: true });
}

let answering = false;
let before = ''; // the last answer when the turn began
let pressed = null; // the answer below which a button was pressed that begins a turn
let chosen = false; // a button in a comparison, which changes nothing but itself and a status of its own
let scrolled = false; // to what it begins, or by the reader

function take(busy) {
  if (busy === answering) return;
  answering = busy;
  const answer = pressed ?? lastAnswer();
  if (busy) {
    before = textOf(answer);
    return;
  }
  // Nobody listens to an answer word by word: it is read when it is whole.
  if (answer && textOf(answer) !== before && !chosen) announce(`${speaker(answer)}: ${textOf(answer)}`);
  // Unless a panel has been opened meanwhile, which gives the focus back itself.
  if (pressed && !opener.matches(LOOKING) && document.activeElement === document.body) pressed.focus({ preventScroll: true });
  pressed = null;
  chosen = false;
}

// Scroll once to the line of the answer below which a button was pressed. Chainlit goes on following the end of the
// conversation until something has scrolled away from it.
function arrive(answer) {
  if (scrolled || !answer.isConnected) return; // another answer takes its place
  const line = answer.previousElementSibling;
  const folded = line?.dataset.stepType === 'tool' && line.offsetHeight < innerHeight / 4;
  (folded ? line : answer).scrollIntoView({ block: 'start' });
  const { scrollTop, clientHeight, scrollHeight } = answer.closest('.overflow-y-auto');
  scrolled = scrollTop + clientHeight < scrollHeight - 10;
}

// One observer for all of this. While an answer streams, each push adds a few nodes: only these are looked at.
new MutationObserver((records) => {
  for (const { target, addedNodes, attributeName } of records) {
    if (attributeName === 'disabled' && target.matches(LOOKING)) target.disabled = false;
    const step = target.closest('.step');
    if (step) label(step);
    for (const node of addedNodes) if (node.nodeType === Node.ELEMENT_NODE) mend(node.parentElement?.closest('button, a') ?? node);
  }
  const header = document.getElementById('header');
  if (header && title.parentElement !== header) header.append(title);
  follow(document.getElementById('side-view-content'));
  take(Boolean(document.getElementById('stop-button')));
  if (pressed && records.some(({ target }) => pressed.contains(target))) setTimeout(arrive, 50, pressed);
}).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ['alt', 'disabled'] });
for (const moved of ['wheel', 'touchmove']) {
  addEventListener(moved, () => { scrolled = true; }, { passive: true }); // the reader's own way
}
mend(document.body);

// Arrow-up in the empty composer brings back what was asked, the latest first; arrow-down leads forward, Escape clears.
// What was brought back and then changed is a text of one's own, in which the arrows move the caret.
(() => {
  let asked = []; // what was asked, the oldest first
  let shown = null; // which of them is in the composer, or null
  const setValue = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set;

  document.addEventListener('keydown', (event) => {
    const composer = event.target;
    if (composer.id !== 'chat-input' || event.isComposing || event.defaultPrevented) return;
    if (event.shiftKey || event.ctrlKey || event.altKey || event.metaKey) return;
    if (shown === null || composer.value !== asked[shown]) {
      shown = null;
      if (composer.value) return;
      asked = [...document.querySelectorAll('[data-step-type="user_message"] .message-content')]
        .map((each) => each.innerText.trim()).filter((text, at, all) => text && text !== all[at - 1]);
    }
    const next = { ArrowUp: (shown ?? asked.length) - 1, ArrowDown: (shown ?? asked.length) + 1, Escape: asked.length }[event.key];
    if (next === undefined || (shown === null && event.key !== 'ArrowUp') || next < 0) return;
    event.preventDefault();
    event.stopPropagation();
    shown = next < asked.length ? next : null;
    setValue.call(composer, shown === null ? '' : asked[shown]); // React reads the value that the browser's own setter set
    composer.dispatchEvent(new Event('input', { bubbles: true }));
    composer.setSelectionRange(composer.value.length, composer.value.length);
  }, true);
})();

// A dropped picture that the browser cannot show, such as a telephone's, is shown as a document.
document.addEventListener('error', ({ target }) => {
  if (!target.matches?.('#attachments img:not([title]), [data-step-type="user_message"] img:not([title])')) return;
  target.title = target.alt;
  target.src = '/public/documents.svg';
}, true);
