/** Elements from a description. Text is always text: nothing here takes markup. */
import type { Shape } from "../../src/report/shape.ts";

type Child = Node | string | number | undefined | false | null;
export type Children = Child | readonly Child[];

type Handlers = { [K in keyof HTMLElementEventMap as `on${K}`]?: (event: HTMLElementEventMap[K]) => void };
export type Props = Handlers & { readonly [attribute: string]: unknown };

function apply(element: Element, props: Props): void {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith("on") && typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (name === "value" && element instanceof HTMLInputElement) element.value = String(value);
    else if (name === "checked" && element instanceof HTMLInputElement) element.checked = value === true;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

export function append(parent: Node, children: readonly Children[]): void {
  for (const child of children.flat() as Child[]) {
    if (child === undefined || child === false || child === null) continue;
    parent.appendChild(typeof child === "object" ? child : document.createTextNode(String(child)));
  }
}

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Children[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  apply(element, props);
  append(element, children);
  return element;
}

/** The same for drawings. */
export function svg(tag: string, props: Props = {}, ...children: Children[]): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  apply(element, props);
  append(element, children);
  return element;
}

/** A drawing of the report, as elements. */
export const drawing = ({ tag, attributes, children }: Shape): SVGElement =>
  svg(tag, attributes, ...children.map((child) => (typeof child === "string" ? child : drawing(child))));

export function replace(parent: Element, ...children: Children[]): void {
  parent.replaceChildren();
  append(parent, children);
}

export const byId = <T extends HTMLElement = HTMLElement>(id: string): T => {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`internal: no element #${id}`);
  return element as T;
};

/** Said to those who do not see it. */
export function announce(text: string): void {
  byId("live").textContent = text;
}

/** A table with a head; cells that are numbers stand right. */
export function table(head: readonly string[], rows: readonly (readonly Children[])[], caption?: string): HTMLTableElement {
  const isNumber = rows.map((row) => row.map((cell) => typeof cell === "number"));
  const right = head.map((_, i) => rows.length > 0 && isNumber.every((row) => row[i]));
  const cls = (i: number) => (right[i] ? "number" : undefined);
  return h(
    "table",
    {},
    caption === undefined ? undefined : h("caption", {}, caption),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        head.map((cell, i) => h("th", { scope: "col", class: cls(i) }, cell)),
      ),
    ),
    h(
      "tbody",
      {},
      rows.map((row) =>
        h(
          "tr",
          {},
          row.map((cell, i) => h("td", { class: cls(i) }, ...(Array.isArray(cell) ? cell : [cell]))),
        ),
      ),
    ),
  );
}

/** A table that scrolls in itself where the screen is narrow. */
export const wide = (head: readonly string[], rows: readonly (readonly Children[])[], caption: string): HTMLElement =>
  h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table(head, rows, caption));

/** The table twin of a picture. */
export const twin = (head: readonly string[], rows: readonly (readonly Children[])[], caption: string): HTMLElement =>
  h("details", {}, h("summary", {}, `The same as a table: ${caption}`), wide(head, rows, caption));

/** A file for the user to keep. */
export function download(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name.split("/").at(-1) ?? name });
  document.body.append(link);
  link.click();
  link.remove();
  // A large file is still being copied when the click returns.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** A button that copies text, and says that it did. */
export function copyButton(label: string, text: () => string): HTMLButtonElement {
  const button = h("button", { type: "button", class: "quiet" }, label);
  button.addEventListener("click", async () => {
    const said = await copy(text());
    button.textContent = said ? "Copied" : "Could not copy";
    announce(button.textContent);
    setTimeout(() => {
      button.textContent = label;
    }, 1500);
  });
  return button;
}

/** Pages opened from a file may have no clipboard: the old way is tried then. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { readonly: true, class: "offscreen" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
