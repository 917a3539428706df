/**
 *   Resize(x; sizes n)      Resize(x; scales n / size of x)
 *
 * Sizes are known, and the quotients numbers of float32 that give the same sizes again. Not where the part of x is told that is taken, or that
 * its proportions stay.
 */
import { stringAttr } from "../../../graph/attributes.ts";
import { sameDim } from "../../../graph/dims.ts";
import { inner, make, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

const scaled: Rewrite = (node, side) => {
  const { record, inputs } = node;
  if (node.domain !== "" || node.opType !== "Resize" || node.version < 13 || inputs[3] === undefined) return undefined;
  const policy = stringAttr(record, "keep_aspect_ratio_policy", "stretch");
  const mode = stringAttr(record, "coordinate_transformation_mode", "half_pixel");
  const [from, to] = [inputs[0], node.outputs[0]].map((value) => side.facts.shape(value));
  if (policy !== "stretch" || mode === "tf_crop_and_resize" || record.attributes.has("axes") || from?.length !== to?.length)
    return undefined;
  const scales = to?.map((d, axis) => {
    const own = from?.[axis];
    if (sameDim(d, own)) return 1;
    const scale = typeof d === "number" && typeof own === "number" ? d / own : Number.NaN;
    return Math.fround(scale) === scale && Math.floor((own as number) * scale) === d ? scale : Number.NaN;
  });
  if (scales === undefined || scales.some(Number.isNaN)) return undefined;
  const attributes = new Map([...record.attributes].filter(([name]) => name !== "keep_aspect_ratio_policy"));
  return [
    make(node, "Constant", [], inner(node, "scales"), { value_floats: { floats: scales } }),
    { ...record, attributes, inputs: [record.inputs[0], "", inner(node, "scales")], outputs: [outputOf(node)] },
  ];
};

export const RESIZED: Rewriting = { equation: ["Resize(x; sizes)", "Resize(x; scales)"], rewrite: scaled };
