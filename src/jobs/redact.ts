/** URLs as they may be shown: without user, password and query. */

/** `rediss://user:secret@host:6380/1?x=y` → `rediss://host:6380/1`. */
export function redacted(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return url.replace(/\/\/.*@/s, "//").replace(/\?.*$/s, "");
  }
  return `${parsed.protocol}//${parsed.host}${parsed.pathname === "/" ? "" : parsed.pathname}`;
}

/** What a URL keeps secret, as it stands in it and decoded. */
function secretsOf(url: string): string[] {
  try {
    const { password, username, search } = new URL(url);
    return [search, password, decodeURIComponent(password), ...(password === "" ? [] : [`${username}:`])].filter(
      (text) => text.length > 2,
    );
  } catch {
    return [];
  }
}

/** Text of others, an error of a driver for instance, with the URL and its secrets taken out. */
export function withoutSecrets(text: string, url: string): string {
  return [url, ...secretsOf(url)].reduce((out, secret) => out.replaceAll(secret, secret === url ? redacted(url) : "***"), text);
}

/** True when a URL says a password, which everybody on the machine would see in the list of processes. */
export function holdsSecret(url: string): boolean {
  try {
    const parsed = new URL(url);
    return parsed.password !== "" || [...parsed.searchParams.keys()].some((name) => /pass|secret|token/i.test(name));
  } catch {
    return false;
  }
}
