/** bnfold completion: a script for bash, zsh or fish that knows every command, option and choice, made from their table. */
import type { Options } from "yargs";
import type { Command, Values } from "./command.ts";
import { commonOptions, takesValue } from "./help.ts";
import { commandTable } from "./table.ts";
import { print } from "./terminal.ts";

interface Words {
  readonly name: string;
  readonly describe: string;
  readonly options: readonly (readonly [name: string, option: Options])[];
}

async function table(): Promise<Words[]> {
  return Promise.all(
    Object.entries(commandTable()).map(async ([name, { describe, load }]) => {
      const { command } = await load();
      return { name, describe, options: [...Object.entries(command.options), ...Object.entries(commonOptions)] };
    }),
  );
}

const choicesOf = ({ choices }: Options): string[] => [...(choices ?? [])].map(String);

/** Text inside single quotes of any of the shells. */
const quoted = (text: string): string => `'${text.replaceAll("'", "")}'`;

const flagsOf = (name: string, { alias }: Options): string[] => [
  `--${name}`,
  ...[alias ?? []].flat().map((letter) => `-${letter}`),
];

/** First words, and second ones of commands of two words. */
function wordTree(words: readonly Words[]): { first: string[]; second: Map<string, string[]> } {
  const second = new Map<string, string[]>();
  for (const { name } of words) {
    const [head, tail] = name.split(" ");
    if (tail !== undefined) second.set(head, [...(second.get(head) ?? []), tail]);
  }
  return { first: [...new Set(words.map(({ name }) => name.split(" ")[0]))], second };
}

/** Words of an option's place: its choices; nothing, where the shell's own names of files are meant. */
const bashCase = ({ name, options }: Words): string[] => [
  `    '${name}')`,
  '      case "$prev" in',
  ...options
    .filter(([, option]) => choicesOf(option).length > 0)
    .map(([key, option]) => `        ${flagsOf(key, option).join("|")}) _bnfold_offer "$cur" ${choicesOf(option).join(" ")};;`),
  `        ${options
    .filter(([, option]) => takesValue(option) && choicesOf(option).length === 0)
    .flatMap(([key, option]) => flagsOf(key, option))
    .join("|")}) ;;`,
  `        *) case "$cur" in -*) _bnfold_offer "$cur" ${options.flatMap(([key, option]) => flagsOf(key, option)).join(" ")};; esac;;`,
  "      esac;;",
];

/** The functions that both bash and zsh (through bashcompinit) call. What zsh has no word of its own for is not used. */
function bash(words: readonly Words[]): string {
  const { first, second } = wordTree(words);
  return [
    "_bnfold_offer() {",
    '  local cur="$1" word',
    "  shift",
    '  for word in "$@"; do case "$word" in "$cur"*) COMPREPLY+=("$word");; esac; done',
    "}",
    "_bnfold() {",
    `  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" command="\${COMP_WORDS[1]}"`,
    "  COMPREPLY=()",
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    _bnfold_offer "$cur" ${[...first, "--help", "--version"].join(" ")}`,
    "    return",
    "  fi",
    '  case "$command" in',
    ...[...second].flatMap(([head, tails]) => [
      `    ${head})`,
      `      if [ "$COMP_CWORD" -eq 2 ]; then _bnfold_offer "$cur" ${tails.join(" ")}; return; fi`,
      `      command="$command \${COMP_WORDS[2]}";;`,
    ]),
    "  esac",
    '  case "$command" in',
    ...words.flatMap(bashCase),
    "  esac",
    "}",
    "complete -o default -o bashdefault -F _bnfold bnfold",
  ].join("\n");
}

const zsh = (words: readonly Words[]): string =>
  ["#compdef bnfold", "autoload -U +X compinit && compinit -u", "autoload -U +X bashcompinit && bashcompinit", bash(words)].join(
    "\n",
  );

function fish(words: readonly Words[]): string {
  const { first, second } = wordTree(words);
  const describes = new Map(words.map(({ name, describe }) => [name, describe]));
  const lines = [
    "complete -c bnfold -n __fish_use_subcommand -l help -d 'Show this'",
    ...first.map(
      (name) => `complete -c bnfold -f -n __fish_use_subcommand -a ${name} -d ${quoted(describes.get(name) ?? `${name} ...`)}`,
    ),
    ...[...second].map(
      ([head, tails]) =>
        `complete -c bnfold -f -n '__fish_seen_subcommand_from ${head}; and not __fish_seen_subcommand_from ${tails.join(" ")}' -a ${quoted(tails.join(" "))}`,
    ),
  ];
  for (const { name, options } of words) {
    const seen = name
      .split(" ")
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join("; and ");
    for (const [key, option] of options) {
      const letters = [option.alias ?? []].flat().map((letter) => ` -s ${letter}`);
      const choices = choicesOf(option);
      const value = choices.length > 0 ? ` -x -a ${quoted(choices.join(" "))}` : takesValue(option) ? " -r" : "";
      lines.push(`complete -c bnfold -n '${seen}' -l ${key}${letters.join("")}${value} -d ${quoted(option.describe ?? "")}`);
    }
  }
  return lines.join("\n");
}

const SHELLS = { bash, zsh, fish } as const;

async function run(values: Values): Promise<number> {
  print(SHELLS[values.shell as keyof typeof SHELLS](await table()));
  return 0;
}

export const command: Command = {
  positionals: { shell: { choices: Object.keys(SHELLS), describe: "Whose completion", demandOption: true } },
  options: {},
  examples: [
    ["source <(bnfold completion bash)", "in ~/.bashrc"],
    ["source <(bnfold completion zsh)", "in ~/.zshrc"],
    ["bnfold completion fish > ~/.config/fish/completions/bnfold.fish", "once"],
  ],
  run,
};
