/**
 * HTML and SVG as values: what is put into a template is text and is escaped, unless it came out of a template itself. No name of
 * a model can become an element, an attribute or a script.
 */
import { markup } from "../escape.ts";
import type { Shape } from "../shape.ts";

export class Html {
  constructor(readonly text: string) {}
}

type Part = Html | string | number | undefined | readonly Part[];

function written(part: Part): string {
  if (part === undefined) return "";
  if (part instanceof Html) return part.text;
  if (typeof part === "string") return markup(part);
  return typeof part === "number" ? markup(String(part)) : part.map(written).join("");
}

/** A template whose values are escaped; attributes stand in double quotes. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.reduce((text, string, i) => text + written(parts[i - 1]) + string));
}

/** Rows under a head; `r` columns are numbers. */
export function table(head: readonly string[], rows: readonly (readonly Part[])[], align: readonly ("l" | "r")[]): Html {
  if (rows.length === 0) return html``;
  const cell = (tag: Html, close: Html, part: Part, i: number) =>
    html`${tag}${new Html(align[i] === "r" ? ' class="r"' : "")}>${part}${close}`;
  const [th, td] = [new Html("<th"), new Html("<td")];
  return html`<div class="wide"><table><thead><tr>${head.map((part, i) => cell(th, new Html("</th>"), part, i))}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map((part, i) => cell(td, new Html("</td>"), part, i))}</tr>\n`)}</tbody></table></div>`;
}

/** A part that is closed until it is asked for; on paper it is open. */
export const folded = (title: Part, content: Part): Html => html`<details><summary>${title}</summary>${content}</details>`;

/** A drawing; nothing where there is none. Tags and names of attributes are the program's own. */
export function drawing(shape: Shape | undefined): Html {
  if (shape === undefined) return html``;
  const { tag, attributes, children } = shape;
  const list = Object.entries(attributes).map(([name, value]) => html` ${new Html(name)}="${value}"`);
  const inner = children.map((child) => (typeof child === "string" ? child : drawing(child)));
  return html`${new Html(`<${tag}`)}${list}${new Html(">")}${inner}${new Html(`</${tag}>`)}`;
}
