// The panel Models: asks app/ui/models_panel.py for its contents, and reports which buttons were pressed.
import { useEffect, useState } from 'react';
import { Button } from '@/components/ui/button';
import { Progress } from '@/components/ui/progress';

const REFRESH_MS = 1000;

// What a sentence has between backticks is a command to type.
const typed = (text) => text.split('`').map((part, number) => (number % 2 ? <code key={number}>{part}</code> : part));

export default function Models() {
  const [panel, setPanel] = useState(null);

  const press = async (payload) => {
    const { response } = await callAction({ name: 'models', payload });
    if (response) setPanel(response);
  };
  useEffect(() => {
    press({});
    const again = setInterval(() => press({}), REFRESH_MS);
    return () => clearInterval(again);
  }, []);

  if (!panel) return <p className="text-sm text-muted-foreground">{say('Checking this machine …')}</p>;
  return (
    <section className="flex flex-col gap-3 p-1 text-sm break-words" aria-label={say('Models')}>
      <p className="text-xs text-muted-foreground">{panel.machine}</p>
      <p>{typed(panel.used)}</p>
      {panel.error && <p role="alert">{typed(panel.error)}</p>}
      {panel.free && panel.start && (
        <div className="flex flex-col items-start gap-1 rounded-md border p-3">
          <Button size="sm" className="h-auto py-2 whitespace-normal text-left" disabled={panel.busy} onClick={() => press({ do: 'start' })}>
            {panel.start.button}
          </Button>
          <p className="text-xs">{panel.start.text}</p>
        </div>
      )}
      {panel.free && panel.interrupted && (
        <div className="flex flex-col items-start gap-2 rounded-md border p-3">
          <p>{panel.interrupted}</p>
          <div className="flex flex-wrap gap-2">
            <Button size="sm" onClick={() => press({ do: 'resume' })}>{say('Continue')}</Button>
            <Button variant="outline" size="sm" onClick={() => press({ do: 'cancel' })}>{say('Do not continue')}</Button>
          </div>
        </div>
      )}
      {panel.download && (
        <div className="flex flex-col items-start gap-2">
          <Progress value={panel.download.percent} aria-label={say('Download')} />
          <p>{panel.download.text}</p>
          <p className="text-xs">{panel.download.plan}</p>
          {panel.free && (
            <Button variant="outline" size="sm" onClick={() => press({ do: 'cancel' })}>{say('Cancel (what has arrived is kept)')}</Button>
          )}
        </div>
      )}
      <ul className="flex flex-col gap-3" aria-label={say('Pairs of models')}>
        {panel.offers.map((offer) => (
          <li key={offer.name} className="border-t pt-2 flex flex-col gap-1">
            <div className="font-medium">{offer.title}</div>
            <div>{offer.pair}</div>
            <div className="text-xs text-muted-foreground">{offer.facts}</div>
            <div className="text-xs">{typed(offer.why)}</div>
            {panel.free && offer.button && (
              <div>
                <Button size="sm" disabled={panel.busy} onClick={() => press({ do: 'get', pair: offer.name })}>
                  {offer.button}
                </Button>
              </div>
            )}
          </li>
        ))}
      </ul>
      {panel.free && (
        <div>
          <Button variant="outline" size="sm" disabled={panel.busy} onClick={() => press({ do: 'look' })}>
            {say('Update from the online catalogue')}
          </Button>
        </div>
      )}
      {panel.variants.length > 0 && (
        <details>
          <summary>{say('All models in the catalogue')}</summary>
          <ul className="flex flex-col gap-1 pt-2">
            {panel.variants.map((model) => (
              <li key={model.id} className="text-xs break-all">
                <span className="font-medium">{model.id}</span> <span className="text-muted-foreground">{model.facts}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}
