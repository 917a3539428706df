/** What the values that layers read come to on given inputs, channel by channel: for equalisation that knows the activations. */

import { type ChannelRanges, layerInputs } from "../fold/equalize/index.ts";
import { viewOf } from "../graph/view.ts";
import { Constants } from "../laws/constants.ts";
import { Draft } from "../laws/draft.ts";
import type { Model } from "../onnx/records.ts";
import { asFloat64, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { isTensor } from "../ops/define.ts";
import { factsOf } from "../run/facts.ts";
import { createSession } from "../run/session.ts";
import type { BlockSource } from "../train/index.ts";

interface Sums {
  readonly low: Float64Array;
  readonly high: Float64Array;
  readonly sum: Float64Array;
  readonly squares: Float64Array;
  count: number;
}

/**
 * Smallest and largest number, mean and mean of squares of each channel of every value that a layer reads, over all blocks. One run
 * of the built-in executor in float64 for each block.
 * @returns By the name of the value; what `PlanOptions.equalize.ranges` takes.
 * @throws BnfoldError where the executor cannot run the model on the inputs.
 */
export function activationRanges(
  model: Model,
  data: BlockSource,
  onBlock?: (done: number, total: number) => void,
): Map<string, ChannelRanges> {
  const view = viewOf(model);
  const facts = factsOf(view);
  const wanted = layerInputs(view, new Draft(facts, new Constants(view, facts)));
  const session = createSession(model, { only: [...wanted.keys()] });
  const sums = new Map<string, Sums>();
  for (let k = 0; k < data.blocks; k++) {
    const feeds = data.load(k);
    const results = session.run(feeds);
    for (const [name, axis] of wanted) {
      const value = results.get(name) ?? feeds.get(name);
      if (value !== undefined && isTensor(value) && axis < value.dims.length) add(sums, name, value, axis);
    }
    onBlock?.(k + 1, data.blocks);
  }
  return new Map(
    [...sums].map(([name, { low, high, sum, squares, count }]) => [
      name,
      { low, high, mean: sum.map((s) => s / count), meanSquare: squares.map((s) => s / count) },
    ]),
  );
}

function add(sums: Map<string, Sums>, name: string, { dims, ...tensor }: Tensor, axis: number): void {
  const values = asFloat64({ dims, ...tensor } as Tensor);
  const [channels, inner] = [dims[axis], sizeOf(dims.slice(axis + 1))];
  const own = sums.get(name) ?? {
    low: new Float64Array(channels).fill(Number.POSITIVE_INFINITY),
    high: new Float64Array(channels).fill(Number.NEGATIVE_INFINITY),
    sum: new Float64Array(channels),
    squares: new Float64Array(channels),
    count: 0,
  };
  sums.set(name, own);
  own.count += channels === 0 ? 0 : values.length / channels;
  for (let at = 0; at < values.length; ) {
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < inner; i++, at++) {
        const v = values[at];
        own.low[c] = Math.min(own.low[c], v);
        own.high[c] = Math.max(own.high[c], v);
        own.sum[c] += v;
        own.squares[c] += v * v;
      }
    }
  }
}
