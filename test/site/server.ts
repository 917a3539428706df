/** The built site on a port of this machine, and the browser that is there: for tests, measurements and pictures. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const dist = join(root, "site/dist");

const CANDIDATES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
/** A browser of this machine; BNFOLD_BROWSER names another one. */
export const program = [process.env.BNFOLD_BROWSER, ...CANDIDATES].find((path) => path !== undefined && existsSync(path));

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
};

/** The built site on a port of its own; `served` lists what was asked for. */
export async function serve(folder = dist): Promise<{ url: string; server: Server; served: string[] }> {
  const served: string[] = [];
  const server = createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
    const path = join(folder, name.endsWith("/") ? `${name}index.html` : name);
    served.push(name);
    if (!path.startsWith(folder) || !existsSync(path) || !statSync(path).isFile()) response.writeHead(404).end();
    else response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream").end(readFileSync(path));
  });
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  return { url: `http://localhost:${(server.address() as AddressInfo).port}`, server, served };
}
