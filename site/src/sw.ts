/**
 * Keeps the page for visits without a network. A new version is taken whole, beside the old one, and replaces it when that is closed.
 * What it answers carries the headers under which a browser gives threads a shared memory, which a static host cannot be asked for.
 */
declare const FILES: readonly string[];
declare const STAMP: string;

interface Extendable extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface Fetching extends Extendable {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}

const NAME = `bnfold-${STAMP}`;

addEventListener("install", (event) => {
  (event as Extendable).waitUntil(caches.open(NAME).then((cache) => cache.addAll([...FILES])));
});

addEventListener("activate", (event) => {
  const old = (names: string[]) => names.filter((name) => name.startsWith("bnfold-") && name !== NAME);
  (event as Extendable).waitUntil(caches.keys().then((names) => Promise.all(old(names).map((name) => caches.delete(name)))));
});

const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
};

/** The same answer in a page of its own. What is no plain answer of this origin stays as it is. */
function isolated(answer: Response): Response {
  if (answer.type !== "basic" && answer.type !== "default") return answer;
  const { status, statusText } = answer;
  const headers = new Headers(answer.headers);
  for (const [name, value] of Object.entries(ISOLATED)) headers.set(name, value);
  return new Response(answer.body, { status, statusText, headers });
}

addEventListener("fetch", (event) => {
  const { request } = event as Fetching;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  const kept = caches.open(NAME).then((cache) => cache.match(request, { ignoreSearch: true }));
  (event as Fetching).respondWith(kept.then((found) => found ?? fetch(request)).then(isolated));
});
