/** CEL in colour: a few token classes, for reading and for the console's input. */

const TOKENS =
  /("(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?)|(\b\d+(?:\.\d+)?\b)|(\b(?:true|false|null|in)\b)|(\b(?:state|views|agents|messages|actions|self|params|now|room|memory)\b)|([A-Za-z_]\w*(?=\())|(\/\/.*)/g;
const CLASSES = ["", "text", "number", "word", "root", "call", "note"] as const;

/** A piece of an expression and its class. */
export interface Piece {
  readonly text: string;
  readonly kind: string;
}

/** An expression in pieces; joined they are the expression. Pure. */
export function pieces(source: string): Piece[] {
  const found: Piece[] = [];
  let end = 0;
  for (const match of source.matchAll(TOKENS)) {
    if (match.index > end) found.push({ text: source.slice(end, match.index), kind: "" });
    const group = match.slice(1).findIndex((part) => part !== undefined) + 1;
    found.push({ text: match[0], kind: CLASSES[group] ?? "" });
    end = match.index + match[0].length;
  }
  if (end < source.length) found.push({ text: source.slice(end), kind: "" });
  return found;
}

/** The pieces as elements. */
export function Pieces({ source }: { readonly source: string }) {
  return (
    <>
      {pieces(source).map((piece, i) =>
        piece.kind === ""
          ? piece.text
          : <span key={i} class={`cel-${piece.kind}`}>{piece.text}</span>
      )}
    </>
  );
}

/** An expression to read. */
export function Cel({ text }: { readonly text: string }) {
  return (
    <code class="cel">
      <Pieces source={text} />
    </code>
  );
}
