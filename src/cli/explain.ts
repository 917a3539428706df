/** bnfold explain: the page of a reason, of an exit code or of the documentation, offline. Pages are those of docs/, which ship with the program. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { REASONS, type RefusalCode } from "../diag/codes.ts";
import { wrap } from "../report/layout.ts";
import { plain, type Style } from "../report/style.ts";
import { type Command, text, usage, type Values } from "./command.ts";
import { rows } from "./help.ts";
import { nearest } from "./suggest.ts";
import { print, stdoutStyle, stdoutWidth } from "./terminal.ts";

/** In the package, as in a checkout: from the built program, from a chunk of it or a source. */
const PLACES = ["../docs/", "../../docs/"];

function page(name: string): string {
  const found = PLACES.map((place) => new URL(`${place}${name}`, import.meta.url)).find((url) => existsSync(url));
  if (found === undefined) throw new Error(`the page docs/${name} is not where the program is`);
  return readFileSync(found, "utf8");
}

/** Links as text: what is behind one of another page is named, not what leads there. */
const unlinked = (line: string): string =>
  line.replace(/\[([^\]]*)\]\(([^)]*)\)/g, (_whole, said: string, target: string) => {
    const [, name] = /([a-z-]+)\.md(?:#.*)?$/.exec(target) ?? [];
    if (name === undefined) return said;
    return Object.hasOwn(REASONS, name) ? (said === name ? said : `${said} (${name})`) : `${said} (docs/${name}.md)`;
  });

/** A page for a screen: paragraphs at its width, blocks of code and tables as they are. */
export function pageText(markdown: string, style: Style = plain, width = Number.POSITIVE_INFINITY): string {
  const out: string[] = [];
  let paragraph: string[] = [];
  let fenced = false;
  const flush = () => {
    if (paragraph.length > 0) out.push(...wrap(paragraph.join(" "), width));
    paragraph = [];
  };
  for (const line of markdown.trimEnd().split("\n")) {
    const heading = /^#+ (.*)$/.exec(line);
    if (line.startsWith("```")) {
      flush();
      fenced = !fenced;
    } else if (fenced) out.push(`    ${line}`);
    else if (heading !== null) {
      flush();
      out.push(style("bold", unlinked(heading[1])));
    } else if (line === "" || /^[|*-] ?/.test(line)) {
      flush();
      if (/^\*\*.*\*\*$/.test(line)) out.push(style("bold", line.slice(2, -2)));
      else if (line === "" || line.startsWith("|")) out.push(unlinked(line));
      else paragraph.push(unlinked(line));
    } else paragraph.push(unlinked(line.trim()));
  }
  flush();
  return out.join("\n");
}

/** The part of a page under a heading that begins with a word. */
function section(markdown: string, word: string): string | undefined {
  return markdown
    .split(/^(?=## )/m)
    .find((part) => part.startsWith(`## ${word} `) || part.startsWith(`## ${word}\n`))
    ?.replace(/^## /, "# ");
}

const EXITS = "exit-codes";

/** Pages of the documentation, by their names. */
function pages(): string[] {
  const folder = PLACES.map((place) => fileURLToPath(new URL(place, import.meta.url))).find((path) =>
    existsSync(`${path}${EXITS}.md`),
  );
  return folder === undefined
    ? []
    : readdirSync(folder)
        .flatMap((file) => (file.endsWith(".md") ? [file.slice(0, -3)] : []))
        .sort();
}

const WIDE = 100;

const listing = (): string => {
  const width = stdoutWidth() ?? WIDE;
  return [
    ...wrap("Reasons why a node stays; bnfold explain <reason> shows its page:", width),
    "",
    ...rows(
      Object.entries(REASONS).map(([code, { title }]) => [code, title]),
      width,
    ),
    "",
    ...wrap(`bnfold explain ${EXITS} shows what each exit code means, bnfold explain 5 one of them.`, width),
    "",
    ...wrap(`Pages of the documentation, shown in the same way: ${pages().join(", ")}.`, width),
  ].join("\n");
};

async function run(values: Values): Promise<number> {
  const topic = text(values, "topic");
  const shown = (markdown: string) => print(pageText(markdown, stdoutStyle, stdoutWidth()));
  if (topic === undefined) print(listing());
  else if (Object.hasOwn(REASONS, topic)) shown(page(`reasons/${topic as RefusalCode}.md`));
  else if (pages().includes(topic)) shown(page(`${topic}.md`));
  else {
    const part = section(page(`${EXITS}.md`), topic);
    if (part === undefined) {
      const near = nearest(topic, [...Object.keys(REASONS), ...pages()]);
      throw usage(
        `there is no reason or page "${topic}"${near === undefined ? "" : `, did you mean "${near}"?`}`,
        "bnfold explain lists all of them.",
      );
    }
    shown(part);
  }
  return 0;
}

export const command: Command = {
  positionals: {
    topic: {
      type: "string",
      describe: "A reason such as other-reader, an exit code, or a page such as gauges; without it all are listed",
    },
  },
  options: {},
  examples: [
    ["bnfold explain", "every reason there is"],
    ["bnfold explain other-reader", "what it means, an example, what to do"],
    ["bnfold explain 5", "an exit code"],
    ["bnfold explain gauges", "a page of the documentation"],
  ],
  run,
};
