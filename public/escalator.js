// What Chainlit has no place for: what the buttons "Documents" and "Models" in the header do, how far reading is, for
// how many seconds something has been waited for, and what a screen reader says.
const SILENT_MS = 5000; // without further word the bar goes, for the connection may be lost
const HEARD_MS = 1000; // after that a screen reader has it, and shall not find it a second time

document.addEventListener('click', (event) => {
  const pressed = event.target.closest('button, a');
  const link = ['documents', 'models'].find((name) =>
    pressed?.matches(`a[href="#${name}"]`) || pressed?.querySelector(`a[href="#${name}"]`));
  if (link) {
    event.preventDefault();
    window.postMessage(link, location.origin); // Chainlit hands it to app/main.py
  }
});

const bar = document.createElement('div');
bar.id = 'reading';
bar.hidden = true;
bar.innerHTML = '<p></p><progress max="100" aria-label="Reading your documents"></progress>';
document.body.append(bar);

const voice = document.createElement('div');
voice.id = 'heard';
voice.setAttribute('role', 'status');
document.body.append(voice);
window.addEventListener('message', ({ source, data }) => {
  if (source !== window || data?.about !== 'heard') return;
  voice.textContent = data.text;
  setTimeout(() => { voice.textContent = ''; }, HEARD_MS);
});

const since = new WeakMap(); // a row that waits -> its text, and when that came
setInterval(() => {
  document.querySelectorAll('.loading-shimmer').forEach((row) => {
    if (since.get(row)?.text !== row.textContent) since.set(row, { text: row.textContent, at: Date.now() });
    const seconds = Math.round((Date.now() - since.get(row).at) / 1000);
    row.dataset.waited = seconds > 1 ? ` · ${seconds} s` : '';
  });
}, 500);

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
