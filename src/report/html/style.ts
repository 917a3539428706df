/** The page's one style sheet: readable on a screen of any width, in the dark, and on paper. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --back: #fff; --good: #1a7f37; --bad: #cf222e; --warn: #9a6700; --a: #8b949e; --b: #0969da; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --back: #0d1117; --good: #3fb950; --bad: #f85149; --warn: #d29922; --a: #6e7681; --b: #4493f8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 70rem; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); overflow-wrap: anywhere; }
h1 { font-size: 1.35rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); } h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
.soft { color: var(--soft); } .equivalent { color: var(--good); } .different, .error { color: var(--bad); } .undecided, .not-checked, .warning { color: var(--warn); }
.answer { font-size: 1.15rem; font-weight: 600; margin: .5rem 0 1rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; margin: .5rem 0; } th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; overflow-wrap: normal; }
td { max-width: 34rem; overflow-wrap: anywhere; } .r { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: .92em ui-monospace, monospace; } details { margin: .4rem 0; } summary { cursor: pointer; }
.reason { border-left: 3px solid var(--warn); padding: .1rem 0 .1rem .8rem; margin: .8rem 0; break-inside: avoid; }
svg { max-width: 100%; height: auto; display: block; margin: .3rem 0; } svg text { font: 11px system-ui, sans-serif; fill: var(--ink); } svg .soft { fill: var(--soft); }
svg .a { fill: var(--a); } svg .b { fill: var(--b); fill-opacity: .75; } svg .box { fill: var(--back); stroke: var(--line); } svg .here { stroke: var(--warn); stroke-width: 2; } svg line { stroke: var(--soft); }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } details::details-content { content-visibility: visible; display: block; } .wide { overflow: visible; } h2, h3 { break-after: avoid; } }
`;
