/** Search over the documentation, in the page: nothing is asked of a server. */
import { h, replace } from "./dom.ts";

interface Page {
  readonly file: string;
  readonly title: string;
  readonly text: string;
}

const MOST = 20;

/** Pages that hold every word, those with it in the title first; with the text around the first place. */
export function search(pages: readonly Page[], query: string): { page: Page; around: string }[] {
  const words = query
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  if (words.length === 0) return [];
  const rank = ({ title, text }: Page) =>
    words.reduce(
      (n, word) => n + (title.toLowerCase().includes(word) ? 100 : 0) + Math.min(20, text.toLowerCase().split(word).length),
      0,
    );
  return pages
    .filter(({ title, text }) => words.every((word) => `${title} ${text}`.toLowerCase().includes(word)))
    .sort((a, b) => rank(b) - rank(a))
    .slice(0, MOST)
    .map((page) => {
      const at = Math.max(0, page.text.toLowerCase().indexOf(words[0]));
      return { page, around: page.text.slice(Math.max(0, at - 60), at + 120) };
    });
}

function listen(field: HTMLInputElement, found: HTMLElement, all: HTMLElement): void {
  const words = new URL("./docs/words.js", import.meta.url).href;
  field.addEventListener("input", async () => {
    const { default: pages } = (await import(words)) as { default: readonly Page[] };
    const results = search(pages, field.value);
    all.hidden = field.value.trim() !== "";
    const items = results.map(({ page, around }) =>
      h("li", {}, h("a", { href: page.file }, page.title), h("span", { class: "advice" }, `… ${around} …`)),
    );
    replace(
      found,
      !all.hidden ? undefined : results.length === 0 ? h("p", {}, "Nothing found.") : h("ul", { class: "lines" }, items),
    );
  });
}

if (typeof document !== "undefined") {
  const [field, found, all] = ["search", "found", "all"].map((id) => document.getElementById(id));
  if (field instanceof HTMLInputElement && found !== null && all !== null) listen(field, found, all);
}
