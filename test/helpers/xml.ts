/** XML 1.0 as far as reports use it, read strictly: what is not well-formed throws. Written from the specification's productions. */

export interface XmlElement {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  readonly text: string;
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** Characters XML does not allow: controls, halves of pairs, and two code points. */
const isForbidden = (text: string): boolean =>
  /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]|[\ufffe\uffff]/.test(text) ||
  [...text].some((c) => c < " " && !"\t\n\r".includes(c));

function decoded(text: string): string {
  if (/[<]/.test(text)) throw new Error(`a bare "<" in ${text}`);
  if (text.includes("]]>")) throw new Error(`"]]>" in ${text}`);
  return text.replace(/&([^;]*);?/g, (whole, name: string) => {
    const number = /^#(\d+)$/.exec(name);
    if (!whole.endsWith(";")) throw new Error(`a bare "&" in ${text}`);
    if (number !== null) return String.fromCodePoint(Number(number[1]));
    if (!Object.hasOwn(ENTITIES, name)) throw new Error(`the entity ${whole} is not declared`);
    return ENTITIES[name];
  });
}

/** The root element. */
export function parseXml(document: string): XmlElement {
  if (isForbidden(document)) throw new Error("a character XML does not allow");
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    const sticky = new RegExp(pattern.source, "sy");
    sticky.lastIndex = at;
    const match = sticky.exec(document);
    if (match !== null) at = sticky.lastIndex;
    return match;
  };
  const fail = (what: string): never => {
    throw new Error(`${what} at ${at}: ${document.slice(at, at + 60)}`);
  };
  const element = (): XmlElement => {
    const open = take(/<([A-Za-z][\w.-]*)/) ?? fail("no element");
    const attributes = new Map<string, string>();
    for (let pair = take(/\s+([A-Za-z][\w.-]*)="([^"]*)"/); pair !== null; pair = take(/\s+([A-Za-z][\w.-]*)="([^"]*)"/)) {
      if (attributes.has(pair[1])) fail(`attribute ${pair[1]} twice`);
      attributes.set(pair[1], decoded(pair[2]));
    }
    if (take(/\s*\/>/) !== null) return { name: open[1], attributes, children: [], text: "" };
    if (take(/\s*>/) === null) fail("an open tag");
    const children: XmlElement[] = [];
    let text = "";
    for (;;) {
      text += decoded(take(/[^<]*/)?.[0] ?? "");
      if (take(new RegExp(`</${open[1]}\\s*>`)) !== null) return { name: open[1], attributes, children, text };
      children.push(element());
    }
  };
  take(/<\?xml version="1\.0" encoding="UTF-8"\?>\s*/) ?? fail("no declaration");
  const root = element();
  take(/\s*/);
  if (at !== document.length) fail("something behind the root");
  return root;
}
