// Adds the ranks by plain BM25 to the table of hits above, or hides them, and opens the passage of a row that is pressed.
// Props: step = the id of the search step.
import { sideViewState } from '@chainlit/react-client';
import { useEffect, useRef, useState } from 'react';
import { useSetRecoilState } from 'recoil';
import { Button } from '@/components/ui/button';

export default function PlainRanks() {
  const here = useRef(null);
  const show = useSetRecoilState(sideViewState);
  const [shown, setShown] = useState(false);
  const [busy, setBusy] = useState(false);

  const toggle = async () => {
    setBusy(true);
    const { response } = await callAction({ name: 'hits', payload: { step: props.step, shown: !shown } });
    setShown(Boolean(response));
    setBusy(false);
  };

  useEffect(() => {
    const content = here.current.closest('.message-content') ?? here.current.parentElement;
    const rows = () => [...content.querySelectorAll('tbody tr')];
    const reach = () => rows().forEach((row) => { row.tabIndex = 0; }); // by the keyboard, too
    const open = async (event) => {
      const row = rows().indexOf(event.target.closest('tr'));
      if (row < 0 || (event.type === 'keydown' && event.key !== 'Enter')) return;
      const { response } = await callAction({ name: 'hits', payload: { step: props.step, row } });
      if (!response?.lines) return;
      const element = { id: `${props.step} ${row}`, type: 'custom', name: 'Place', display: 'side', props: response, url: '#' };
      show({ title: response.caption, elements: [element] });
    };
    reach();
    const changes = new MutationObserver(reach);
    changes.observe(content, { childList: true, subtree: true });
    content.classList.add('hits');
    content.addEventListener('click', open);
    content.addEventListener('keydown', open);
    return () => {
      changes.disconnect();
      content.removeEventListener('click', open);
      content.removeEventListener('keydown', open);
    };
  }, []);

  return (
    <span ref={here}>
      <Button variant="outline" size="sm" className="plain-ranks my-2" aria-pressed={shown} disabled={busy} onClick={toggle}>
        {shown ? say('Hide plain BM25') : say('Compare with plain BM25')}
      </Button>
    </span>
  );
}
