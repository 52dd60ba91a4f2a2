// A document at the place that is cited, or from its beginning. Props: caption, why, more (of what is not shown), page = the
// key by which to ask for the place, drawn = whether it is a picture. What is shown comes with the props, or is asked for: lines = [{ number, parts = [[text,
// cited]] }], where cited is 0, 1 or, where a span begins, 2; blocks = the lines for reading (app/ui/rich_text.py), if there is
// more to them; of a page of a PDF picture, boxes and link. Opened from the list of documents: file = its name, own = whether it
// can be opened in its own program.
import { sideViewState } from '@chainlit/react-client';
import { useEffect, useRef, useState } from 'react';
import { useSetRecoilState } from 'recoil';

const LINK = 'text-primary hover:underline';
const LINKS = { display: 'flex', flexWrap: 'wrap', gap: '0.25rem 1rem', margin: '0.5rem 0 1rem' };
const MARK = { background: 'hsl(48 100% 67%)', color: 'hsl(0 0% 7%)', borderRadius: '2px' };
const BOX = { position: 'absolute', background: 'hsl(48 100% 60%)', mixBlendMode: 'multiply', borderRadius: '2px' };

const Parts = ({ parts }) =>
  parts.map(([text, cited, names = ''], index) =>
    cited && text.trim() ? (
      <mark key={index} style={{ ...look(names), ...MARK }}>
        {cited === 2 && <span className="sr-only">{say('cited:')} </span>}
        {text}
      </mark>
    ) : (
      <span key={index} style={look(names)}>{text}</span>
    )
  );

const LOOKS = { b: { fontWeight: 600 }, i: { fontStyle: 'italic' }, s: { textDecoration: 'line-through' } };
const CODE = { fontFamily: 'monospace', fontSize: '0.9em', background: 'hsl(var(--muted))', borderRadius: '3px', padding: '0 2px' };
const look = (names) => Object.assign({}, ...[...names].map((name) => (name === 'c' ? CODE : LOOKS[name])));

const WRAP = { whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' };
const CELL = { border: '1px solid hsl(var(--border))', padding: '0.2rem 0.5rem', verticalAlign: 'top', textAlign: 'left' };

function Block({ block }) {
  const { kind, level, parts, rows, head } = block;
  if (kind === 'rule') return <hr style={{ margin: '1rem 0', borderColor: 'hsl(var(--border))' }} />;
  if (kind === 'table') {
    return (
      <div style={{ overflowX: 'auto', margin: '0.6rem 0' }}>
        <table style={{ borderCollapse: 'collapse' }}>
          <tbody>
            {rows.map((cells, index) => (
              <tr key={index}>
                {cells.map((cell, column) =>
                  head && !index
                    ? <th key={column} scope="col" style={{ ...CELL, fontWeight: 600 }}><Parts parts={cell} /></th>
                    : <td key={column} style={CELL}><Parts parts={cell} /></td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    );
  }
  if (kind === 'heading') {
    const size = `${[1.35, 1.2, 1.1][level - 1] ?? 1}rem`;
    const style = { ...WRAP, fontSize: size, fontWeight: 600, lineHeight: 1.3, margin: '1rem 0 0.4rem' };
    return <div role="heading" aria-level={Math.min(level + 1, 6)} style={style}><Parts parts={parts} /></div>;
  }
  if (kind === 'code') {
    const style = { ...WRAP, margin: '0.6rem 0', padding: '0.5rem', background: 'hsl(var(--muted))', borderRadius: '4px', fontSize: '0.8rem' };
    return <pre style={style}><Parts parts={parts} /></pre>;
  }
  if (kind === 'item' || kind === 'number') {
    return (
      <div style={{ ...WRAP, display: 'flex', gap: '0.5rem', marginLeft: `${0.5 + level}rem` }}>
        {kind === 'item' && <span aria-hidden="true">•</span>}
        <span style={{ minWidth: 0 }}><Parts parts={parts} /></span>
      </div>
    );
  }
  const quoted = { borderLeft: '3px solid hsl(var(--border))', paddingLeft: '0.75rem', color: 'hsl(var(--muted-foreground))' };
  return <p style={{ ...WRAP, margin: '0.6rem 0', ...(kind === 'quote' && quoted) }}><Parts parts={parts} /></p>;
}

const Line = ({ line, width }) => (
  <div style={{ display: 'flex', gap: '0.75rem', minHeight: '1.6em' }}>
    {line.number !== null && (
      <span className="text-muted-foreground" style={{ flex: 'none', width: `${width}ch`, textAlign: 'right' }}>
        <span className="sr-only">{say('line')} </span>{line.number}
      </span>
    )}
    <span style={{ minWidth: 0, whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}><Parts parts={line.parts} /></span>
  </div>
);

function Lines({ lines, code }) {
  const width = String(lines[lines.length - 1]?.number ?? '').length;
  return (
    <div className={code ? 'font-mono text-xs' : 'text-sm'} style={{ overflowX: 'auto', lineHeight: 1.6 }}>
      {lines.map((line, index) => <Line key={index} line={line} width={width} />)}
    </div>
  );
}

const Sheet = ({ sheet, large }) => (
  <div style={{ overflow: 'auto', border: '1px solid hsl(var(--border))' }}>
    <div style={{ position: 'relative', width: large ? '52rem' : '100%' }}>
      <img src={sheet.picture} alt={say('{place}, as it is printed', { place: props.caption })} style={{ display: 'block', width: '100%' }} />
      {sheet.boxes.map(([left, top, right, bottom], index) => (
        <div
          key={index}
          className="cited"
          aria-hidden="true"
          style={{ ...BOX, left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` }}
        />
      ))}
    </div>
  </div>
);

export default function Place() {
  const here = useRef(null);
  const close = useSetRecoilState(sideViewState);
  const [sheet, setSheet] = useState(null);
  const [large, setLarge] = useState(window.innerWidth < 768);
  const [asText, setAsText] = useState(false);
  const [said, setSaid] = useState('');

  useEffect(() => {
    const alone = here.current.closest('#element-view');
    const escape = (event) => event.key === 'Escape' && (alone ? alone.querySelector('button')?.click() : close(undefined));
    document.addEventListener('keydown', escape);
    here.current.focus({ preventScroll: true });
    return () => document.removeEventListener('keydown', escape);
  }, []);

  useEffect(() => {
    if (!props.page) return;
    callAction({ name: 'show-source', payload: { page: props.page } })
      .then((found) => setSheet(found.response))
      .catch(() => setSheet({ note: say('The page cannot be shown. Ask again to see it.') }));
  }, []);

  const shown = () => here.current?.querySelector('.cited, mark')?.scrollIntoView({ block: 'center', inline: 'center' });
  useEffect(() => {
    if (!props.page || sheet) requestAnimationFrame(shown);
  }, [sheet, large, asText]);

  const launch = async () => {
    const { response } = await callAction({ name: 'corpus', payload: { do: 'launch', file: props.file } });
    setSaid(response?.said ?? '');
  };

  const link = sheet?.link && apiClient.buildEndpoint(sheet.link);
  const { lines = [], blocks } = props.lines ? props : (sheet ?? {});
  const raw = asText || !blocks;
  return (
    <section ref={here} tabIndex={-1} aria-label={props.caption} className="place" style={{ outline: 'none' }}>
      {props.file && (
        <p className="text-sm" style={LINKS}>
          <button className={LINK} onClick={() => window.postMessage('Documents', location.origin)}>
            {say('All documents')}
          </button>
          {props.own && <button className={LINK} onClick={launch}>{say('Open in its own program')}</button>}
          <span role="status">{said}</span>
        </p>
      )}
      {props.drawn && !sheet && <p role="status" className="text-sm text-muted-foreground">{say('The page is being drawn …')}</p>}
      {sheet?.note && <p role="status" className="text-sm" style={{ marginBottom: '0.5rem' }}>{sheet.note}</p>}
      {sheet?.picture && (
        <>
          <Sheet sheet={sheet} large={large} />
          <p className="text-sm" style={LINKS}>
            <button className={LINK} aria-pressed={large} onClick={() => setLarge(!large)}>
              {say('Large print')}
            </button>
            <a className={LINK} href={link} target="_blank" rel="noreferrer">
              {say('Open the PDF at this page')}
            </a>
          </p>
        </>
      )}
      {raw
        ? <Lines lines={lines} code={Boolean(blocks) || lines.some((line) => line.number !== null)} />
        : <div className="text-sm" style={{ lineHeight: 1.6 }}>{blocks.map((block, index) => <Block key={index} block={block} />)}</div>}
      {props.more && <p className="text-sm text-muted-foreground" style={{ marginTop: '1rem' }}>{props.more}</p>}
      {blocks && !sheet?.picture && (
        <p className="text-sm" style={LINKS}>
          <button className={LINK} aria-pressed={asText} onClick={() => setAsText(!asText)}>{say('Show as text')}</button>
        </p>
      )}
      {props.why && (
        <p className="text-xs text-muted-foreground" style={{ marginTop: '1rem' }}>
          {say('Found by: {words}', { words: props.why })}
        </p>
      )}
    </section>
  );
}
