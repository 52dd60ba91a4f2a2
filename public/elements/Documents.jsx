// The panel Documents: asks app/ui/corpus_panel.py for its contents, with what is typed into the filter, and has it open, add
// and remove files. Files are sent one by one, as those that are dropped into the chat are.
import { sideViewState, useChatInteract } from '@chainlit/react-client';
import { useEffect, useRef, useState } from 'react';
import { useRecoilState } from 'recoil';
import { Button } from '@/components/ui/button';
import { Input } from '@/components/ui/input';
import { Progress } from '@/components/ui/progress';

const TYPING_MS = 150;
const REFRESH_MS = 2000;

const call = async (payload) => (await callAction({ name: 'corpus', payload })).response ?? {};

/** The files of what was dropped, each with its name or, within a folder, its path. */
async function within(entry, path = '') {
  const name = path + entry.name;
  if (entry.isFile) return [{ name, file: await new Promise((done, fail) => entry.file(done, fail)) }];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return found;
    for (const each of some) found.push(...await within(each, `${name}/`));
  }
}

export default function Documents() {
  const [side, show] = useRecoilState(sideViewState);
  const { uploadFile } = useChatInteract();
  const [corpus, setCorpus] = useState(null);
  const [filter, setFilter] = useState('');
  const [lines, setLines] = useState([]); // what became of what was pressed
  const [adding, setAdding] = useState(null);
  const [removing, setRemoving] = useState('');
  const [over, setOver] = useState(false);
  const chooser = useRef(null);
  const folders = useRef(null);
  const stopped = useRef(false);
  const said = useRef(null);

  const list = async (more = {}) => {
    const found = await call({ filter, ...more });
    if (found.files) setCorpus(found);
  };
  useEffect(() => {
    let gone = false;
    const ask = async () => {
      const found = await call({ filter });
      if (!gone && found.files) setCorpus(found);
    };
    const first = setTimeout(ask, corpus ? TYPING_MS : 0);
    const again = setInterval(ask, REFRESH_MS);
    return () => {
      gone = true;
      clearTimeout(first);
      clearInterval(again);
    };
  }, [filter]);

  const press = async (payload) => {
    const done = await call(payload);
    if (done.copy) navigator.clipboard?.writeText(done.copy).catch(() => {});
    setLines(done.said ? [done.said] : []);
    return done;
  };

  const open = async (file) => {
    const { view } = await press({ do: 'open', file });
    if (!view) return;
    const element = { ...side.elements[0], id: `${side.elements[0].id} ${file}`, name: 'Place', props: view };
    show({ title: file, key: element.id, elements: [element] });
  };

  const remove = async (file) => {
    setRemoving('');
    await press({ do: 'remove', file });
    await list({ look: true });
  };

  const add = async (files) => {
    if (!files.length || adding) return;
    stopped.current = false;
    setLines([]);
    const sizes = files.map(({ name, file }) => [name, file.size]);
    const { skip = {}, said: refusal } = await call({ do: 'check', files: sizes });
    if (refusal) return setLines([refusal]);
    const added = [];
    const known = [];
    const skipped = { ...skip };
    const wanted = files.filter(({ name }) => !(name in skip));
    for (const [index, { name, file }] of wanted.entries()) {
      if (stopped.current) break;
      setAdding({ number: index + 1, total: wanted.length, name });
      try {
        const { id } = await uploadFile(file, () => {}).promise;
        const done = await call({ do: 'add', id, file: name });
        if (done.known) known.push(name);
        else if (done.kept) added.push([name, done.kept]);
        else skipped[name] = done.skipped ?? done.said ?? '';
      } catch (error) {
        skipped[name] = String(error?.message ?? error);
      }
    }
    setAdding(null);
    setLines((await call({ do: 'added', added, known, skipped })).lines ?? []);
    await list({ look: true });
  };
  useEffect(() => {
    if (lines.length) said.current.scrollIntoView({ block: 'nearest' });
  }, [lines]);

  const chosen = (event) => {
    add([...event.target.files].map((file) => ({ name: file.webkitRelativePath || file.name, file })));
    event.target.value = '';
  };

  // Before the chat sees it, which would take the files into the conversation only.
  const drag = (event) => {
    event.preventDefault();
    event.stopPropagation();
    setOver(event.type === 'dragover' || event.type === 'dragenter');
  };
  const drop = async (event) => {
    drag(event);
    const files = [...event.dataTransfer.files].map((file) => ({ name: file.name, file }));
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    try {
      add(entries.length ? (await Promise.all(entries.map((entry) => within(entry)))).flat() : files);
    } catch {
      setLines([say('What was dropped cannot be read. Choose it with a button above.')]);
    }
  };

  if (!corpus) return <p className="text-sm text-muted-foreground">…</p>;
  const free = !corpus.locked;
  const drops = free && { onDragEnter: drag, onDragOver: drag, onDragLeave: drag, onDrop: drop };
  return (
    <section
      className={`corpus flex flex-col gap-3 p-1 text-sm break-words ${over ? 'corpus-over' : ''}`}
      aria-label={say('The folder of documents')}
      {...drops}
    >
      {free ? (
        <div className="flex flex-wrap gap-2">
          <Button size="sm" disabled={Boolean(adding)} onClick={() => chooser.current.click()}>{say('Add files')}</Button>
          <Button variant="outline" size="sm" disabled={Boolean(adding)} onClick={() => folders.current.click()}>
            {say('Add a folder')}
          </Button>
          <Button variant="outline" size="sm" onClick={() => press({ do: 'show' })}>{say('Open the folder')}</Button>
          <input ref={chooser} type="file" multiple hidden onChange={chosen} aria-label={say('Add files')} />
          <input ref={folders} type="file" webkitdirectory="" hidden onChange={chosen} aria-label={say('Add a folder')} />
          <p className="text-xs text-muted-foreground w-full">{say('Or drop files and folders here.')}</p>
        </div>
      ) : (
        <p className="text-xs text-muted-foreground">{corpus.locked}</p>
      )}
      {adding && (
        <div className="flex flex-col items-start gap-2">
          <Progress value={(100 * (adding.number - 1)) / adding.total} aria-label={say('Adding files')} />
          <p className="break-all">{say('Adding {number} of {total}: {name}', adding)}</p>
          <Button variant="outline" size="sm" onClick={() => { stopped.current = true; }}>{say('Stop')}</Button>
        </div>
      )}
      <ul ref={said} role="status" className="corpus-said break-words">{lines.map((line) => <li key={line}>{line}</li>)}</ul>
      {corpus.error && <p role="alert">{corpus.error}</p>}
      {corpus.reading && (
        <div>
          <Progress value={corpus.reading.percent} aria-label={say('Reading your documents')} />
          <p className="pt-1">{corpus.reading.text}</p>
        </div>
      )}
      <Input
        value={filter}
        onChange={(event) => setFilter(event.target.value)}
        placeholder={say('Part of a name, a language, “not read” …')}
        aria-label={say('Show only files that match')}
      />
      <ul className="flex flex-col gap-2" aria-label={say('Files')}>
        {corpus.files.map((file) => (
          <li key={file.name} className="border-t pt-2">
            <div className="flex items-start justify-between gap-3">
              <button className="font-medium break-all text-left hover:underline" onClick={() => open(file.name)}>{file.name}</button>
              {free && removing !== file.name && (
                <button
                  className="text-xs text-muted-foreground hover:underline"
                  aria-label={say('Remove {name}', { name: file.name })}
                  onClick={() => setRemoving(file.name)}
                >
                  {say('Remove')}
                </button>
              )}
            </div>
            <div className="text-xs text-muted-foreground">{file.facts}</div>
            {file.notes.map((note) => <div key={note} className="corpus-note">{note}</div>)}
            {removing === file.name && (
              <div className="flex flex-wrap items-center gap-2 pt-1">
                <span className="break-all">{say('Move {name} to the bin of this machine?', { name: file.name })}</span>
                <Button size="sm" autoFocus onClick={() => remove(file.name)}>{say('Move to the bin')}</Button>
                <Button variant="outline" size="sm" onClick={() => setRemoving('')}>{say('Cancel')}</Button>
              </div>
            )}
          </li>
        ))}
      </ul>
      <p role="status" className="text-xs text-muted-foreground">{corpus.more}</p>
      <ul className="text-xs text-muted-foreground">
        {corpus.facts.map((fact) => <li key={fact}>{fact}</li>)}
        <li className="break-all">{corpus.folder}</li>
      </ul>
    </section>
  );
}
