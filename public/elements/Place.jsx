// What is cited, in its place. Props: caption, why, page = the key of a page to draw, lines = [{ number, parts = [[text, cited]] }],
// where cited is 0, 1 or, where a span begins, 2.
import { sideViewState } from '@chainlit/react-client';
import { useEffect, useRef, useState } from 'react';
import { useSetRecoilState } from 'recoil';

const MARK = { background: 'hsl(48 100% 67%)', color: 'hsl(0 0% 7%)', borderRadius: '2px' };
const BOX = { position: 'absolute', background: 'hsl(48 100% 60%)', mixBlendMode: 'multiply', borderRadius: '2px' };

const Parts = ({ parts }) =>
  parts.map(([text, cited], index) =>
    cited && text.trim() ? (
      <mark key={index} style={MARK}>
        {cited === 2 && <span className="sr-only">{say('cited:')} </span>}
        {text}
      </mark>
    ) : (
      <span key={index}>{text}</span>
    )
  );

const isRow = (line) => line.number === null && /^\|.*\|$/.test(line.parts.map(([text]) => text).join(''));

/** The cells of a row `| a | b |`, each as parts. */
function cells(line) {
  const found = [[]];
  for (let [text, cited] of line.parts) {
    text.split(/(?<!\\)\|/).forEach((piece, index) => {
      if (index) found.push([]);
      found[found.length - 1].push([piece.replaceAll('\\|', '|'), cited]);
      if (piece.trim()) cited = Math.min(cited, 1); // a span begins once
    });
  }
  return found.slice(1, -1);
}

const Table = ({ rows }) => (
  <table className="text-sm" style={{ borderCollapse: 'collapse' }}>
    <tbody>
      {rows.map((row, index) => (
        <tr key={index}>
          {cells(row).map((parts, column) => (
            <td key={column} className="border px-2 py-1 align-top"><Parts parts={parts} /></td>
          ))}
        </tr>
      ))}
    </tbody>
  </table>
);

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

function Text({ lines }) {
  const blocks = [];
  for (const line of lines) {
    const last = blocks[blocks.length - 1];
    if (isRow(line) && last?.rows) last.rows.push(line);
    else blocks.push(isRow(line) ? { rows: [line] } : { line });
  }
  const numbered = lines.some((line) => line.number !== null);
  const width = String(lines[lines.length - 1]?.number ?? '').length;
  return (
    <div className={numbered ? 'font-mono text-xs' : 'text-sm'} style={{ overflowX: 'auto', lineHeight: 1.6 }}>
      {blocks.map(({ line, rows }, index) =>
        rows ? <Table key={index} rows={rows} /> : <Line key={index} line={line} width={width} />
      )}
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

  useEffect(() => {
    const alone = here.current.closest('#element-view');
    const escape = (event) => event.key === 'Escape' && (alone ? alone.querySelector('button')?.click() : close(undefined));
    document.addEventListener('keydown', escape);
    here.current.focus({ preventScroll: true });
    return () => document.removeEventListener('keydown', escape);
  }, []);

  useEffect(() => {
    if (!props.page) return;
    callAction({ name: 'picture', payload: { page: props.page } })
      .then((found) => setSheet(found.response))
      .catch(() => setSheet({ note: say('The page cannot be shown. Ask again to see it.') }));
  }, []);

  const shown = () => here.current?.querySelector('.cited, mark')?.scrollIntoView({ block: 'center', inline: 'center' });
  useEffect(() => {
    if (!props.page || sheet) requestAnimationFrame(shown);
  }, [sheet, large]);

  const link = sheet?.link && apiClient.buildEndpoint(sheet.link);
  return (
    <section ref={here} tabIndex={-1} aria-label={props.caption} className="place" style={{ outline: 'none' }}>
      {props.page && !sheet && <p role="status" className="text-sm text-muted-foreground">{say('The page is being drawn …')}</p>}
      {sheet?.note && <p role="status" className="text-sm" style={{ marginBottom: '0.5rem' }}>{sheet.note}</p>}
      {sheet?.picture && (
        <>
          <Sheet sheet={sheet} large={large} />
          <p className="text-sm" style={{ display: 'flex', gap: '1rem', margin: '0.5rem 0 1rem' }}>
            <button className="text-primary hover:underline" aria-pressed={large} onClick={() => setLarge(!large)}>
              {say('Large print')}
            </button>
            <a className="text-primary hover:underline" href={link} target="_blank" rel="noreferrer">
              {say('Open the PDF at this page')}
            </a>
          </p>
        </>
      )}
      <Text lines={props.lines} />
      {props.why && (
        <p className="text-xs text-muted-foreground" style={{ marginTop: '1rem' }}>
          {say('Found by: {words}', { words: props.why })}
        </p>
      )}
    </section>
  );
}
