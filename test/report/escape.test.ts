import { describe, expect, it } from "vitest";
import { cell, code, commandProperty, commandText, markup, sentence } from "../../src/report/escape.ts";

describe("escape", () => {
  it.each([
    [markup, `<a b="c" d='e'>&`, "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;"],
    [markup, "a\u0000\ud800b\uffff", "a\\u0000\ufffdb\ufffd"],
    [sentence, "a_b *c* [d](e) <f> | g~ h&i \\", "a\\_b \\*c\\* \\[d\\](e) \\<f\\> \\| g\\~ h\\&i \\\\"],
    [sentence, "@you https://x www.y", "&#64;you https&#58;//x www&#46;y"],
    [code, "plain", "`plain`"],
    [code, "a`b``c", "```a`b``c```"],
    [code, "`", "`` ` ``"],
    [code, "a|b", "`a\\|b`"],
    [code, "", "`  `"],
    [commandText, "50%\r\nnext", "50%25%0D%0Anext"],
    [commandProperty, "a:b,c", "a%3Ab%2Cc"],
    [cell, 'a,"b"', '"a,""b"""'],
    [cell, "=1+1", "'=1+1"],
    [cell, "-1.5e-7", "-1.5e-7"],
    [cell, "-cmd", "'-cmd"],
  ] as const)("%o of %j", (escaped, text, expected) => expect(escaped(text)).toBe(expected));
});
