/** What the explorer is set to, and the part of its address that says so. */

/** Where the BatchNormalization stands. */
export const ORDERS = ["conv-bn", "bn-conv", "relu-bn"] as const;
export type Order = (typeof ORDERS)[number];

export interface State {
  readonly seed: number;
  /** Elements of the channel in a batch. */
  readonly n: number;
  readonly center: number;
  /** Standard deviation of the data, as a power of ten. */
  readonly spread: number;
  readonly gamma: number;
  readonly beta: number;
  readonly epsilon: number;
  /** Weight of the new batch: PyTorch's m. */
  readonly momentum: number;
  readonly batches: number;
  /** By how many standard deviations the mean moves from batch to batch. */
  readonly drift: number;
  readonly groups: number;
  readonly order: Order;
  readonly pads: number;
  /**
   * Running statistics of a channel of a model, both or none. With them γ, β and ε are what its file says, inference and fold use
   * them, and the data are drawn around them: `center` and `spread` say how far from them.
   */
  readonly mean?: number;
  readonly variance?: number;
}

/** What a file says of a channel. */
export type ChannelParameters = Required<Pick<State, "gamma" | "beta" | "epsilon" | "mean" | "variance">>;

export interface Statistics {
  readonly mean: number;
  readonly variance: number;
}

/** Those of a channel of a model, where one is shown. */
export const statisticsOf = ({ mean, variance }: State): Statistics | undefined =>
  mean === undefined || variance === undefined ? undefined : { mean, variance };

export const INITIAL: State = {
  seed: 1,
  n: 8,
  center: 1.5,
  spread: 0.25,
  gamma: 1.2,
  beta: 0.5,
  epsilon: 1e-5,
  momentum: 0.1,
  batches: 20,
  drift: 0,
  groups: 2,
  order: "conv-bn",
  pads: 1,
};

interface Range {
  readonly from: number;
  readonly to: number;
  /** Of the slider; what an address says need not lie on it. */
  readonly step: number;
  readonly whole?: boolean;
}

export const RANGES = {
  seed: { from: 0, to: 9999, step: 1, whole: true },
  n: { from: 2, to: 32, step: 1, whole: true },
  center: { from: -3, to: 3, step: 0.1 },
  spread: { from: -4, to: 1, step: 0.25 },
  gamma: { from: -3, to: 3, step: 0.1 },
  beta: { from: -3, to: 3, step: 0.1 },
  momentum: { from: 0, to: 1, step: 0.01 },
  batches: { from: 1, to: 100, step: 1, whole: true },
  drift: { from: 0, to: 1, step: 0.05 },
} as const satisfies Partial<Record<keyof State, Range>>;

/** Those that are one of a few. */
export const CHOICES = {
  epsilon: [1e-3, 1e-5],
  groups: [1, 2, 4],
  order: ORDERS,
  pads: [0, 1],
} as const;

export const PRESETS: readonly { readonly label: string; readonly state: Partial<State> }[] = [
  { label: "Start", state: {} },
  { label: "γ = 0", state: { gamma: 0 } },
  { label: "Tiny variance", state: { spread: -3, momentum: 0.3, batches: 60 } },
  { label: "Two elements: N against N − 1", state: { n: 2, batches: 60 } },
  { label: "Drift", state: { drift: 0.4, batches: 60 } },
  { label: "Negative γ behind Relu", state: { gamma: -1.2, order: "relu-bn" } },
  { label: "Before a padded convolution", state: { order: "bn-conv", pads: 1 } },
];

const names = Object.keys(INITIAL) as (keyof State)[];

function parsed(name: keyof State, text: string): State[keyof State] {
  const initial = INITIAL[name];
  if (name in CHOICES) {
    const list: readonly (number | string)[] = CHOICES[name as keyof typeof CHOICES];
    return (list.find((one) => String(one) === text) ?? initial) as State[keyof State];
  }
  const range: Range = RANGES[name as keyof typeof RANGES];
  const number = Number(text);
  if (text.trim() === "" || !Number.isFinite(number)) return initial;
  const inside = Math.min(range.to, Math.max(range.from, number)) + 0;
  return range.whole === true ? Math.round(inside) : inside;
}

const FROM_FILE = ["gamma", "beta", "epsilon", "mean", "variance"] as const satisfies readonly (keyof ChannelParameters)[];

/** True for numbers that make a normalization. */
const isChannel = (given: ChannelParameters): boolean =>
  FROM_FILE.every((name) => Number.isFinite(given[name])) && given.variance >= 0 && given.variance + given.epsilon > 0;

/** A channel's numbers; undefined where the address names no whole channel. */
function channelIn(given: URLSearchParams): ChannelParameters | undefined {
  const numbers = FROM_FILE.map((name) => {
    const text = given.get(name);
    // What is as at the start is not named.
    if (text === null) return [name, name in INITIAL ? INITIAL[name] : Number.NaN];
    return [name, text.trim() === "" ? Number.NaN : Number(text) + 0];
  });
  const found = Object.fromEntries(numbers) as unknown as ChannelParameters;
  return isChannel(found) ? found : undefined;
}

/** The state an address stands for: whatever it says, a valid one. */
export function fromHash(hash: string): State {
  const given = new URLSearchParams(hash.replace(/^#[a-z]*\??/, ""));
  const state = Object.fromEntries(
    names.map((name) => [name, parsed(name, given.get(name) ?? String(INITIAL[name]))]),
  ) as unknown as State;
  return { ...state, ...channelIn(given) };
}

/** Only what is not as at the start is named. */
export function toHash(state: State): string {
  const said = [...names, "mean" as const, "variance" as const].filter((name) => state[name] !== INITIAL[name]);
  return said.length === 0 ? "#explorer" : `#explorer?${said.map((name) => `${name}=${state[name]}`).join("&")}`;
}

/** A file's ε is a float32: written with as few digits as mean the same one. */
const shortEpsilon = (epsilon: number): number => {
  const short = Number(epsilon.toPrecision(6));
  return Math.fround(short) === epsilon ? short : epsilon;
};

/** What is shown of a channel at first: data as its statistics say. */
export const ofChannel = (channel: ChannelParameters): State => ({
  ...{ ...INITIAL, ...channel, center: 0, spread: 0 },
  epsilon: shortEpsilon(channel.epsilon),
});

/** Where a channel is shown; undefined where its numbers make no normalization. */
export const channelHash = (channel: ChannelParameters): string | undefined =>
  isChannel(channel) ? toHash(ofChannel(channel)) : undefined;
