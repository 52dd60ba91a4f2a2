// Opens a source beside the chat where its name or its number in the answer is clicked. Props: message = its id.
// Until this is there, and without it, Chainlit opens the same component as a page.
import { sideViewState, useChatData } from '@chainlit/react-client';
import { useEffect, useRef } from 'react';
import { useSetRecoilState } from 'recoil';

export default function Sources() {
  const here = useRef(null);
  const { elements } = useChatData();
  const known = useRef(elements);
  known.current = elements;
  const show = useSetRecoilState(sideViewState);

  useEffect(() => {
    const content = here.current.closest('.message-content');
    // Before Chainlit sees the click: for elements that do not open by themselves it leaves the chat.
    const open = (event) => {
      const link = event.target.closest('a.element-link');
      const source = known.current.find((each) => each.forId === props.message && each.name === link?.textContent);
      if (!source) return;
      event.preventDefault();
      event.stopPropagation();
      const title = `${source.name.match(/^\[\d+\]/)} ${source.props.caption}`;
      show({ title, elements: [{ ...source, name: 'Place' }] });
    };
    content.addEventListener('click', open, true);
    return () => content.removeEventListener('click', open, true);
  }, [show]);

  return <span ref={here} className="sources" hidden />;
}
