// What Chainlit has no place for: what the button "Documents" in the header does, and how far reading is.
const SILENT_MS = 5000; // without further word the bar goes, for the connection may be lost

document.addEventListener('click', (event) => {
  const pressed = event.target.closest('button, a');
  if (pressed?.matches('a[href="#documents"]') || pressed?.querySelector('a[href="#documents"]')) {
    event.preventDefault();
    window.postMessage('documents', location.origin); // Chainlit hands it to app/main.py
  }
});

const bar = document.createElement('div');
bar.id = 'reading';
bar.hidden = true;
bar.innerHTML = '<p></p><progress max="100" aria-label="Reading your documents"></progress>';
document.body.append(bar);

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
