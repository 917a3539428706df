/** How text is dressed for where it is shown. */

export type StyleName = "bold" | "dim" | "red" | "green" | "yellow";

/** Dresses text for where it is shown; the plain one returns it as it is. */
export type Style = (name: StyleName, text: string) => string;

export const plain: Style = (_name, text) => text;

/** ANSI sequences, for callers without a terminal library of their own. */
export const ansi: Style = (name, text) => {
  const [on, off] = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] }[name];
  return `\u001b[${on}m${text}\u001b[${off}m`;
};

/** Options of `renderText`. */
export interface TextOptions {
  /** true for ANSI colours, or a function of one's own. Default: plain. */
  readonly color?: boolean | Style;
  /** Columns there are; lines are wrapped and names shortened to fit. Default: as long as they are. */
  readonly width?: number;
  /** Characters of bars in pictures, the lowest first. Default: ASCII. */
  readonly bars?: string;
  /** Every fold, merge and kept node, however many. Default: lists of up to twenty lines. */
  readonly verbose?: boolean;
}

export const styleOf = (options: TextOptions): Style =>
  typeof options.color === "function" ? options.color : options.color ? ansi : plain;
