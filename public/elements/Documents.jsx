// The panel Documents: asks app/ui/corpus_panel.py for its contents, with what is typed into the filter.
import { useEffect, useState } from 'react';
import { Input } from '@/components/ui/input';
import { Progress } from '@/components/ui/progress';

const TYPING_MS = 150;
const REFRESH_MS = 2000;

export default function Documents() {
  const [corpus, setCorpus] = useState(null);
  const [filter, setFilter] = useState('');

  useEffect(() => {
    let over = false;
    const ask = async () => {
      const { response } = await callAction({ name: 'corpus', payload: { filter } });
      if (!over && response) setCorpus(response);
    };
    const first = setTimeout(ask, corpus ? TYPING_MS : 0);
    const again = setInterval(ask, REFRESH_MS);
    return () => {
      over = true;
      clearTimeout(first);
      clearInterval(again);
    };
  }, [filter]);

  if (!corpus) return <p className="text-sm text-muted-foreground">…</p>;
  return (
    <section className="corpus flex flex-col gap-3 p-1 text-sm break-words" aria-label={say('The folder of documents')}>
      <p className="text-xs text-muted-foreground break-all">{corpus.folder}</p>
      {corpus.error && <p role="alert">{corpus.error}</p>}
      <ul>{corpus.facts.map((fact) => <li key={fact}>{fact}</li>)}</ul>
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
            <div className="font-medium break-all">{file.name}</div>
            <div className="text-xs text-muted-foreground">{file.facts}</div>
            {file.notes.map((note) => <div key={note} className="corpus-note">{note}</div>)}
          </li>
        ))}
      </ul>
      <p role="status" className="text-xs text-muted-foreground">{corpus.more}</p>
    </section>
  );
}
