// Adds the ranks by plain BM25 to the table of hits above, or hides them. Props: step = the id of the search step.
import { useState } from 'react';
import { Button } from '@/components/ui/button';

export default function PlainRanks() {
  const [shown, setShown] = useState(false);
  const [busy, setBusy] = useState(false);

  const toggle = async () => {
    setBusy(true);
    const { response } = await callAction({ name: 'plain-ranks', payload: { step: props.step, shown: !shown } });
    setShown(Boolean(response));
    setBusy(false);
  };

  return (
    <Button variant="outline" size="sm" className="plain-ranks my-2" aria-pressed={shown} disabled={busy} onClick={toggle}>
      {shown ? say('Hide plain BM25') : say('Compare with plain BM25')}
    </Button>
  );
}
