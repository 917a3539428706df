/** What is rewritten twice under one name stays two values. */
import { float32, int64, node } from "../../helpers/build.ts";
import { judge, net, series } from "./pairs.ts";

/** Queries of an attention whose three layers are one, tokens before the batch. */
const first = (at: number) =>
  net(
    [{ name: "x", dims: [2, 3, 4] }],
    [
      node("Transpose", ["x"], ["t"], { perm: [1, 0, 2] }),
      node("MatMul", ["t", "w"], ["m"]),
      node("Add", ["m", "b"], ["a"]),
      node("Reshape", ["a", "parts"], ["r"]),
      node("Unsqueeze", ["r", "zero"], ["u"]),
      node("Transpose", ["u"], ["v"], { perm: [3, 1, 2, 0, 4] }),
      node("Squeeze", ["v", "three"], ["s"]),
      node("Gather", ["s", "at"], ["g"], { axis: 0 }),
      node("Reshape", ["g", "heads"], ["h"]),
      node("Transpose", ["h"], ["y"], { perm: [1, 0, 2] }),
    ],
    {
      ...{ w: float32([4, 12], series(48)), b: float32([12], series(12, 5)), at: int64([], [at]) },
      ...{ parts: int64([4], [3, 2, 3, 4]), heads: int64([3], [3, 4, 2]), zero: int64([1], [0]), three: int64([1], [3]) },
    },
  );

judge("Names", { "the same part": [first(0), first(0)] }, { "another part": [first(0), first(1)] });
