// The panel Export: asks app/main.py for a file and has the browser save it. Props: message = the id of an answer,
// "" for the conversation alone.
import { Button } from '@/components/ui/button';
import { Download } from 'lucide-react';
import { useState } from 'react';

export default function Export() {
  const [whole, setWhole] = useState(!props.message);
  const [form, setForm] = useState('html');
  const [figures, setFigures] = useState(false);
  const [failed, setFailed] = useState(false);

  const save = async () => {
    const payload = { message: whole ? '' : props.message, form, figures };
    const { response } = await callAction({ name: 'export-file', payload }).catch(() => ({}));
    setFailed(!response);
    if (response) window.save(response);
  };
  const choice = (name, text, chosen, choose) => (
    <label className="flex items-center gap-2">
      <input type="radio" name={name} checked={chosen} onChange={choose} />
      {text}
    </label>
  );

  return (
    <section className="export flex flex-col items-start gap-4 p-1 text-sm" aria-label={say('Export')}>
      {props.message && (
        <fieldset className="flex flex-col gap-2">
          <legend className="pb-2 font-medium">{say('What to export')}</legend>
          {choice('what', say('This answer'), !whole, () => setWhole(false))}
          {choice('what', say('The whole conversation'), whole, () => setWhole(true))}
        </fieldset>
      )}
      <fieldset className="flex flex-col gap-2">
        <legend className="pb-2 font-medium">{say('Format')}</legend>
        {choice('form', say('Web page (HTML), to read and print'), form === 'html', () => setForm('html'))}
        {choice('form', say('Markdown, to edit'), form === 'md', () => setForm('md'))}
      </fieldset>
      <label className="flex items-center gap-2">
        <input type="checkbox" checked={figures} onChange={(event) => setFigures(event.target.checked)} />
        {say('With times and tokens')}
      </label>
      <Button size="sm" onClick={save}><Download />{say('Download')}</Button>
      {failed && <p role="alert">{say('The file could not be made. The terminal shows why.')}</p>}
      <p className="text-xs text-muted-foreground">
        {say('Cited sources become footnotes with the quoted sentences. Nothing is sent anywhere.')}
      </p>
    </section>
  );
}
