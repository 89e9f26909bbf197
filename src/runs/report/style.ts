/**
 * The look of the report: a page of prose and plates. Colours are variables, once for light and paper, once for dark
 * screens; plots use the same ones. No fonts are loaded.
 */
export const style = /* css */ `
:root {
  --page: #fbfaf7; --card: #ffffff; --ink: #22252b; --soft: #646a75; --faint: #e4e1d9; --link: #1d5f9e;
  --good: #1a8a5f; --bad: #c4473a; --rest: #c9c5bb; --second: #3d424c; --shade: rgb(34 37 43 / .16);
  --c0: #7b8494; --c1: #2f6fb5; --c2: #c98a1b; --c3: #178a6a; --c4: #8a55b8; --c5: #c2573f; --c6: #4c8c2b; --c7: #a8507f;
  --serif: "Iowan Old Style", "Palatino Linotype", Palatino, "Source Serif 4", Georgia, serif;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  color-scheme: light;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #16181c; --card: #1e2126; --ink: #e3e4e6; --soft: #9aa1ac; --faint: #33373f; --link: #7db4ea;
    --good: #4cc38a; --bad: #ee7d6f; --rest: #4a4f58; --second: #d5d8dd; --shade: rgb(0 0 0 / .55);
    --c0: #98a1b0; --c1: #69a9ee; --c2: #e5b04c; --c3: #4cc9a2; --c4: #b98be6; --c5: #ee8b72; --c6: #8cc665; --c7: #de8bb6;
    color-scheme: dark;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 76rem; padding: 2.5rem 1.5rem 4rem; background: var(--page); color: var(--ink);
  font: 400 1rem/1.55 var(--sans); font-variant-numeric: tabular-nums; }
h1, h2, .lead, .tiles dd { font-family: var(--serif); font-weight: 600; font-variant-numeric: lining-nums; }
h1 { font-size: clamp(2rem, 5vw, 3rem); line-height: 1.1; margin: 0 0 .35rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .8rem; }
h3 { font-size: 1.05rem; margin: 0 0 .6rem; }
h3 small { font-weight: 400; color: var(--soft); margin-left: .4rem; }
p { margin: 0 0 1rem; max-width: 68ch; }
a { color: var(--link); text-decoration-thickness: 1px; text-underline-offset: .2em; }
a:focus-visible, select:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code, pre { font-family: var(--mono); font-size: .86em; }
main > section { padding: 2.4rem 0 .6rem; border-top: 1px solid var(--faint); margin-top: 1.6rem; }
.brand { text-transform: uppercase; letter-spacing: .14em; font-size: .75rem; font-weight: 700; margin: 0 0 1.2rem; color: var(--c3); }
.brand span { color: var(--soft); font-weight: 400; }
.dates { color: var(--soft); font-size: .9rem; margin-bottom: 1.4rem; }
.lead { font-size: 1.22rem; font-weight: 400; line-height: 1.5; max-width: 62ch; margin-bottom: 1.6rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; list-style: none; margin: 1.6rem 0 0; padding: 0; font-size: .92rem; }

.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .9rem; margin: 0 0 1.4rem; }
.tiles div { background: var(--card); border: 1px solid var(--faint); border-radius: .6rem; padding: .8rem 1rem .7rem; }
.tiles dt { color: var(--soft); font-size: .82rem; }
.tiles dd { margin: .1rem 0 0; font-size: 1.9rem; line-height: 1.2; }
.tiles small { display: block; font: 400 .82rem/1.4 var(--sans); color: var(--soft); margin-top: .15rem; }

/* A shadow at the side where a wide table goes on. */
.scroll { overflow-x: auto; margin: 0 0 1.4rem;
  background: linear-gradient(to right, var(--page) 60%, transparent) 0 0 / 2.4rem 100% local no-repeat,
    linear-gradient(to left, var(--page) 60%, transparent) 100% 0 / 2.4rem 100% local no-repeat,
    linear-gradient(to right, var(--shade), transparent) 0 0 / .7rem 100% scroll no-repeat,
    linear-gradient(to left, var(--shade), transparent) 100% 0 / .7rem 100% scroll no-repeat; }
table { border-collapse: collapse; min-width: 100%; font-size: .9rem; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { padding: .5rem .9rem .5rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--faint); white-space: nowrap; }
th:last-child, td:last-child { padding-right: .2rem; }
thead th { color: var(--soft); font-weight: 400; font-size: .82rem; vertical-align: bottom; border-bottom-color: var(--soft); }
abbr { text-decoration: none; border-bottom: 1px dotted; cursor: help; }
.number { text-align: right; }
.number + :not(.number) { padding-left: 1rem; }
td.prose { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 16rem; unicode-bidi: isolate; }
.value { display: block; font-weight: 600; }
.interval, .against { display: block; font-size: .78rem; color: var(--soft); }
.none { color: var(--soft); opacity: .6; }
.status { border: 1px solid var(--bad); color: var(--bad); border-radius: 1rem; padding: 0 .5rem; font-size: .8rem; }
.stage { display: inline-flex; align-items: baseline; gap: .45em; font-weight: 600; }
.stage::before, .key::before { content: ""; width: .62em; height: .62em; border-radius: 50%; background: var(--key); flex: none; }

dl:not(.tiles) { font-size: .9rem; margin: 0 0 1rem; }
dl:not(.tiles) div { display: flex; gap: .8rem; padding: .12rem 0; }
dl:not(.tiles) dt { color: var(--soft); flex: 0 0 5.5rem; }
dl:not(.tiles) dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
details { margin: 0 0 1rem; }
.group details { margin-top: .9rem; }
details .scroll { margin-top: .6rem; }
summary { cursor: pointer; color: var(--link); font-size: .92rem; }
pre { background: var(--card); border: 1px solid var(--faint); border-radius: .5rem; padding: .9rem 1.1rem; overflow-x: auto; line-height: 1.5; }

.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: 1rem; margin: 0 0 1.4rem; }
.figures:last-child { margin-bottom: 0; }
.figures.two { grid-template-columns: repeat(auto-fill, minmax(min(28rem, 100%), 1fr)); }
figure { margin: 0; background: var(--card); border: 1px solid var(--faint); border-radius: .6rem; padding: .8rem .9rem .6rem; min-width: 0; display: flex; flex-direction: column; }
figure.wide { grid-column: 1 / -1; overflow-x: auto; }
figcaption { display: flex; flex-wrap: wrap; gap: .1rem 1rem; align-items: baseline; font-size: .9rem; margin-bottom: .4rem; }
.legend { display: inline-flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .8rem; color: var(--soft); }
.unit { font-size: .8rem; color: var(--soft); }
.key { display: inline-flex; align-items: baseline; gap: .4em; }
.key:not(.dots)::before { height: .22em; width: 1em; border-radius: 1px; align-self: center; }
.note { font-size: .8rem; line-height: 1.45; color: var(--soft); margin: .4rem 0 .2rem; }
.group { margin-bottom: 2rem; }
.plot { display: block; width: 100%; height: auto; margin-top: auto; color: var(--ink); font-family: var(--sans); --plot-background: var(--card); }
.plot text { white-space: pre; }
figure.wide .plot { min-width: 44rem; }

.controls { display: flex; flex-wrap: wrap; gap: .6rem 1.2rem; align-items: center; font-size: .9rem; margin: 0 0 1.2rem; color: var(--soft); }
.controls[hidden], article[hidden] { display: none; }
select { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--faint); border-radius: .4rem; padding: .25rem .5rem; }
article { border-top: 1px solid var(--faint); padding: 1.1rem 0 1.3rem; }
article header { display: flex; justify-content: space-between; gap: 1rem; align-items: baseline; }
article h3 { font: 600 1.08rem/1.4 var(--serif); white-space: pre-wrap; overflow-wrap: anywhere; max-width: 80ch; unicode-bidi: isolate; }
.kind { flex: none; font-size: .78rem; color: var(--soft); border: 1px solid var(--faint); border-radius: 1rem; padding: .05rem .6rem; }
.answers { display: grid; grid-template-columns: repeat(var(--columns), minmax(13rem, 1fr)); gap: .8rem; overflow-x: auto; }
.answer { background: var(--card); border: 1px solid var(--faint); border-radius: .6rem; padding: .65rem .8rem .6rem; display: flex; flex-direction: column; }
.answer h4 { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem .5rem; font-size: .84rem; margin: 0 0 .45rem; }
.answer h4 .stage { margin-right: auto; }
.text { font-size: .93rem; line-height: 1.5; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; flex: 1; }
.text em { color: var(--soft); }
.facts { display: flex; flex-wrap: wrap; gap: 0 .9em; font-size: .76rem; line-height: 1.4; color: var(--soft); margin: .5rem 0 0; }
.score { font-weight: 700; border-radius: .35rem; padding: 0 .4rem; background: var(--faint);
  background: color-mix(in oklab, color-mix(in oklab, var(--good) var(--share), var(--bad)) 24%, var(--card)); }
.gain { font-size: .76rem; color: var(--soft); }
.gain.up { color: var(--good); }
.gain.down { color: var(--bad); }
.on-paper { display: none; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
footer { margin-top: 3rem; padding-top: 1.2rem; border-top: 1px solid var(--faint); color: var(--soft); font-size: .85rem; }
footer h2 { font-size: 1.1rem; color: var(--ink); }

@media (max-width: 48rem) {
  .answers { grid-template-columns: 1fr; }
  body { padding: 1.5rem 1rem 3rem; }
  .figures.two .plot { font-size: 14px !important; }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
@media print {
  @page { margin: 15mm 14mm; }
  :root { --page: #fff; font-size: 11px; }
  body { max-width: none; padding: 0; }
  nav, .controls, details:not([open]), article:nth-child(n + 13) { display: none; }
  .on-paper { display: inline; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2, h3, h4, figcaption { break-after: avoid; }
  figure, .tiles div, .answer, tr, article { break-inside: avoid; }
  .scroll, figure.wide, .answers { overflow: visible; background: none; }
  .scroll table { font-size: 9px; }
  th, td { padding-right: 5px; white-space: normal; }
  .interval, .against { font-size: 7.5px; }
  .answers { grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: .5rem; }
  .tiles { grid-template-columns: repeat(5, 1fr); gap: .5rem; }
  .figures { grid-template-columns: repeat(3, 1fr); gap: .6rem; }
  .figures.two { grid-template-columns: repeat(2, 1fr); }
  .plot { font-size: 13px !important; }
  .figures.two .plot { font-size: 14px !important; }
  figure.wide .plot { min-width: 0; }
  main > section { padding-top: 1.4rem; margin-top: 1rem; }
}
`;
