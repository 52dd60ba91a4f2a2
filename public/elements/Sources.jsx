// Opens a source beside the chat where its name or its number in an answer is clicked; one serves a whole conversation.
// Until this is there, and without it, Chainlit opens the source as a page.
import { sideViewState, useChatData } from '@chainlit/react-client';
import { useEffect, useRef } from 'react';
import { useSetRecoilState } from 'recoil';

export default function Sources() {
  const { elements } = useChatData();
  const known = useRef(elements);
  known.current = elements;
  const show = useSetRecoilState(sideViewState);

  useEffect(() => {
    // Before Chainlit sees the click: for elements that do not open by themselves it leaves the chat.
    const open = (event) => {
      const link = event.target.closest('.message-content a.element-link');
      const message = link?.closest('[id^=step-]').id.slice('step-'.length);
      const source = known.current.find((each) => each.forId === message && each.name === link.textContent);
      if (!source) return;
      event.preventDefault();
      event.stopPropagation();
      const title = `${source.name.match(/^\[\d+\]/)} ${source.props.caption}`;
      show({ title, elements: [{ ...source, name: 'Place' }] });
    };
    document.addEventListener('click', open, true);
    return () => document.removeEventListener('click', open, true);
  }, [show]);

  return <span className="sources" hidden />;
}
