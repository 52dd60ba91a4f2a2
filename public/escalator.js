// What Chainlit has no place for: the buttons "Documents" and "Models" in the header, the bar that shows how far reading
// is, the seconds that a row has been waiting, announcements to screen readers, and a conversation's own address.
const SILENT_MS = 5000; // without a report for so long the bar is hidden: the connection may be lost
const ANNOUNCED_MS = 1000; // then a screen reader has read it, and must not meet it a second time

document.addEventListener('click', (event) => {
  const pressed = event.target.closest('button, a');
  const panel = ['Documents', 'Models'].find((name) => {
    const link = `a[href="#${name.toLowerCase()}"]`;
    return pressed?.matches(link) || pressed?.querySelector(link);
  });
  if (panel) {
    event.preventDefault();
    window.postMessage(panel, location.origin); // Chainlit hands it to app/main.py
  }
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
window.addEventListener('message', ({ source, data }) => {
  if (source !== window || data?.about !== 'announcement') return;
  announcer.textContent = data.text;
  setTimeout(() => { announcer.textContent = ''; }, ANNOUNCED_MS);
});

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
  bar.hidden = !data.reading;
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

// The one user stays who he is while the server cannot be reached: Chainlit would leave the chat for a log-in that is not there.
const request = window.fetch;
window.fetch = (address, ...rest) => request(address, ...rest).catch((error) => {
  if (new URL(address, location).pathname !== '/user') throw error;
  return Response.json({ identifier: 'you', metadata: {} });
});
