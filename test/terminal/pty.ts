/** The command line at a terminal: a pseudo-terminal that Python's own module opens, of a width, with ^C where it is asked for. */
import { spawnSync } from "node:child_process";
import { bin } from "../cli/bnfold.ts";

/** Waits for a text on the terminal, types ^C, waits for the end; says what was shown, and whether anything is left running. */
const DRIVER = `
import base64, fcntl, json, os, pty, select, signal, struct, sys, termios, time
asked = json.loads(sys.stdin.read())
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, asked["columns"], 0, 0))
    os.chdir(asked["folder"])
    os.execve(asked["words"][0], asked["words"], asked["env"])
shown, typed, status, ended = b"", None, None, time.time() + asked["seconds"]
while True:
    ready, _, _ = select.select([fd], [], [], 0.05)
    if ready:
        try:
            part = os.read(fd, 65536)
        except OSError:
            part = b""
        shown += part
        if asked["until"] and typed is None and asked["until"].encode() in shown:
            time.sleep(asked["after"])
            os.write(fd, b"\\x03")
            typed = time.time()
        if not part:
            break
    if typed is not None and time.time() > typed + 20 or time.time() > ended:
        os.killpg(pid, signal.SIGKILL)
        break
_, status = os.waitpid(pid, 0)
took = None if typed is None else time.time() - typed
left = True
for _ in range(100):
    try:
        os.killpg(pid, 0)
        time.sleep(0.05)
    except ProcessLookupError:
        left = False
        break
if left:
    os.killpg(pid, signal.SIGKILL)
code = os.waitstatus_to_exitcode(status)
print(json.dumps({"shown": base64.b64encode(shown).decode(), "code": 128 - code if code < 0 else code, "typed": typed is not None, "left": left, "took": took}))
`;

export const hasPty = process.platform !== "win32" && spawnSync("python3", ["-c", "import pty, termios"]).status === 0;
if (!hasPty) console.warn("NOTHING is tried at a terminal: there is no python3 with its module pty here");

export interface Session {
  /** Everything the terminal got. */
  readonly raw: string;
  /** What a person sees in the end: without colours, without what was drawn over, newlines alone. */
  readonly screen: string;
  /** As a shell says it: 128 + n for signal n. */
  readonly code: number;
  /** ^C was typed. */
  readonly typed: boolean;
  /** A process of the session outlived it. */
  readonly left: boolean;
}

interface Options {
  readonly columns?: number;
  readonly folder: string;
  readonly env?: Readonly<Record<string, string>>;
  /** ^C is typed when this is on the screen, `after` seconds later. */
  readonly until?: string;
  readonly after?: number;
}

/** A line that was drawn over, and colours. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal is told
const [DRAWN, COLOUR] = [/[^\n]*\r\u001b\[K/g, /\u001b\[[0-9;]*m/g];

export function atTerminal(args: readonly string[], { columns = 80, folder, env = {}, until = "", after = 0 }: Options): Session {
  const { NO_COLOR: _a, FORCE_COLOR: _b, CI: _c, ...rest } = process.env;
  const asked = {
    ...{ columns, folder, until, after, seconds: 120 },
    words: [process.execPath, bin, ...args],
    env: { ...rest, TERM: "xterm-256color", ...env },
  };
  const ran = spawnSync("python3", ["-c", DRIVER], { input: JSON.stringify(asked), encoding: "utf8", maxBuffer: 1 << 26 });
  if (ran.status !== 0) throw new Error(`no terminal: ${ran.stderr}`);
  const { shown, ...told } = JSON.parse(ran.stdout) as Omit<Session, "raw" | "screen"> & { shown: string };
  const raw = Buffer.from(shown, "base64").toString();
  return { ...told, raw, screen: raw.replaceAll("\r\n", "\n").replace(DRAWN, "").replace(COLOUR, "") };
}
