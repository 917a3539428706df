/** Keeps the page for visits without a network. A new version is taken whole, beside the old one, and replaces it when that is closed. */
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

addEventListener("fetch", (event) => {
  const { request } = event as Fetching;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  const kept = caches.open(NAME).then((cache) => cache.match(request, { ignoreSearch: true }));
  (event as Fetching).respondWith(kept.then((found) => found ?? fetch(request)));
});
