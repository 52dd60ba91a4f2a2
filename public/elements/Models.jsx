// Which models fit this machine: asks app/ui/models_panel.py for what it shows, and says which buttons were pressed.
import { useEffect, useState } from 'react';
import { Button } from '@/components/ui/button';
import { Progress } from '@/components/ui/progress';

const AGAIN_MS = 1000;

export default function Models() {
  const [shelf, setShelf] = useState(null);

  const tell = async (payload) => {
    const { response } = await callAction({ name: 'models', payload });
    if (response) setShelf(response);
  };
  useEffect(() => {
    tell({});
    const again = setInterval(() => tell({}), AGAIN_MS);
    return () => clearInterval(again);
  }, []);

  if (!shelf) return <p className="text-sm text-muted-foreground">Looking at this machine …</p>;
  return (
    <section className="flex flex-col gap-3 p-1 text-sm break-words" aria-label="The models">
      <p className="text-xs text-muted-foreground">{shelf.machine}</p>
      <p>{shelf.used}</p>
      {shelf.said && <p role="alert">{shelf.said}</p>}
      {shelf.coming && (
        <div className="flex flex-col items-start gap-2">
          <Progress value={shelf.coming.percent} aria-label="The download" />
          <p>{shelf.coming.text}</p>
          <Button variant="outline" size="sm" onClick={() => tell({ do: 'cancel' })}>Cancel; what has arrived is kept</Button>
        </div>
      )}
      <ul className="flex flex-col gap-3" aria-label="Pairs of models">
        {shelf.offers.map((offer) => (
          <li key={offer.name} className="border-t pt-2 flex flex-col gap-1">
            <div className="font-medium">{offer.title}</div>
            <div>{offer.pair}</div>
            <div className="text-xs text-muted-foreground">{offer.facts}</div>
            <div className="text-xs">{offer.why}</div>
            {offer.button && (
              <div>
                <Button size="sm" disabled={shelf.busy} onClick={() => tell({ do: 'get', pair: offer.name })}>
                  {offer.button}
                </Button>
              </div>
            )}
          </li>
        ))}
      </ul>
      <div>
        <Button variant="outline" size="sm" disabled={shelf.busy} onClick={() => tell({ do: 'look' })}>
          Ask the catalogue online
        </Button>
      </div>
      {shelf.variants.length > 0 && (
        <details>
          <summary>All models of the catalogue</summary>
          <ul className="flex flex-col gap-1 pt-2">
            {shelf.variants.map((one) => (
              <li key={one.id} className="text-xs break-all">
                <span className="font-medium">{one.id}</span> <span className="text-muted-foreground">{one.facts}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}
