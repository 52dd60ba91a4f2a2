// Two answers side by side, one below the other on a narrow screen. Props: message = its id, answers = [{ id, name, note,
// text, foot }], live = whether one can be preferred, preferred = its id, 0 for neither or null, tally = what was so far.
import { Button } from '@/components/ui/button';
import { Card, CardContent, CardHeader, CardTitle } from '@/components/ui/card';
import { Markdown } from '@/components/markdown';
import { useChatData } from '@chainlit/react-client';
import { Check, Download } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';

const columns = { display: 'grid', gap: '0.75rem', gridTemplateColumns: 'repeat(auto-fit, minmax(min(100%, 17rem), 1fr))' };
const FOCUS_MS = 2000; // then the choice has come back from the server
const CODE = /(```[^]*?(?:```|$)|`[^`\n]*`)/;

/** Make links of the marks, which Chainlit makes of those in a message by itself; public/elements/Sources.jsx opens them. */
const linked = (text, sources) =>
  text.split(CODE).map((part, index) =>
    index % 2 ? part : part.replace(/\[\d+\](?!\()/g, (mark) =>
      sources.some((source) => source.name === mark) ? `[${mark}](#)` : mark)
  ).join('');

export default function Compare() {
  const here = useRef(null);
  const [failed, setFailed] = useState(false);
  const { elements } = useChatData();
  const sources = elements.filter((each) => each.forId === props.message);

  // Each change of the props makes this component anew, so which button has the focus is noted at the message.
  useEffect(() => {
    const noted = here.current.closest('.message-content').dataset;
    const pressed = here.current.querySelector(`[data-choice="${noted.pressed}"]`);
    if (document.activeElement === document.body) pressed?.focus({ preventScroll: true });
  }, []);

  const prefer = (attempt) => {
    const noted = here.current.closest('.message-content').dataset;
    noted.pressed = attempt;
    setTimeout(() => { delete noted.pressed; }, FOCUS_MS);
    callAction({ name: 'prefer', payload: { message: props.message, attempt } });
  };
  const report = async () => {
    const payload = { message: props.message, form: 'report' };
    const { response } = await callAction({ name: 'export-file', payload }).catch(() => ({}));
    setFailed(!response);
    if (response) window.save(response);
  };
  const Choice = ({ attempt, text, chosen }) => (
    <Button
      size="sm"
      variant={props.preferred === attempt ? 'default' : 'outline'}
      aria-pressed={props.preferred === attempt}
      data-choice={attempt}
      onClick={() => prefer(attempt)}
    >
      {props.preferred === attempt && <Check className="h-4 w-4" />}
      {props.preferred === attempt ? chosen : text}
    </Button>
  );

  return (
    <div ref={here} className="compare flex flex-col gap-3">
      <div style={columns}>
        {props.answers.map((answer) => (
          <Card
            key={answer.id}
            className="compared flex flex-col"
            style={{ minWidth: 0, ...(props.preferred === answer.id && { borderColor: 'hsl(var(--primary))' }) }}
          >
            <CardHeader className="p-3 pb-0">
              <CardTitle className="text-sm font-semibold">{answer.name}</CardTitle>
              <p className="text-xs text-muted-foreground">{answer.note}</p>
            </CardHeader>
            <CardContent className="p-3 text-sm break-words flex flex-col grow gap-2">
              <div className="grow">
                <Markdown allowHtml={false} latex={false} renderMarkdown={true} refElements={sources}>
                  {linked(answer.text, sources) || '…'}
                </Markdown>
              </div>
              {answer.foot && <p className="text-xs text-muted-foreground">{answer.foot}</p>}
              {props.live && answer.text && (
                <div><Choice attempt={answer.id} text={say('Prefer this one')} chosen={say('Preferred')} /></div>
              )}
              {!props.live && props.preferred === answer.id && <p className="text-xs font-medium">{say('Preferred')}</p>}
            </CardContent>
          </Card>
        ))}
      </div>
      <div className="flex flex-wrap items-center gap-3">
        {props.live && <Choice attempt={0} text={say('No difference')} chosen={say('No difference')} />}
        {props.live && <Button size="sm" variant="outline" onClick={report}><Download />{say('Report')}</Button>}
        {failed && <p role="alert">{say('The file could not be made. The terminal shows why.')}</p>}
        {props.tally && <p role="status" className="text-xs text-muted-foreground">{props.tally}</p>}
      </div>
    </div>
  );
}
