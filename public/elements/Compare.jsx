// Two answers side by side, one below the other on a narrow screen. Props: answers = [{ name, text, note }].
import { Markdown } from '@/components/markdown';
import { Card, CardContent, CardHeader, CardTitle } from '@/components/ui/card';

const columns = { display: 'grid', gap: '0.75rem', gridTemplateColumns: 'repeat(auto-fit, minmax(min(100%, 17rem), 1fr))' };

export default function Compare() {
  return (
    <div style={columns} className="compare">
      {props.answers.map((answer, index) => (
        <Card key={index} style={{ minWidth: 0 }}>
          <CardHeader className="p-3 pb-0">
            <CardTitle className="text-sm font-semibold">{answer.name}</CardTitle>
            <p className="text-xs text-muted-foreground">{answer.note}</p>
          </CardHeader>
          <CardContent className="p-3 text-sm break-words">
            <Markdown allowHtml={false} latex={false} renderMarkdown={true}>{answer.text || '…'}</Markdown>
          </CardContent>
        </Card>
      ))}
    </div>
  );
}
