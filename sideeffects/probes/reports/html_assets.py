"""Style and script of the page."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root {
  --paper: #fff; --card: #f6f7f9; --ink: #1c2024; --soft: #5a6169; --line: #d6dade; --track: #e3e6ea;
  --good: #136c36; --good-paper: #dcf3e4; --bad: #a8171f; --bad-paper: #fde3e3; --error: #8a3d00;
  --error-paper: #ffe8d1; --skip: #4d545c; --skip-paper: #e6e9ed; --held: #4b3aa8; --held-paper: #ebe8fb;
  --focus: #0b5cd6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --card: #1d2126; --ink: #eceff2; --soft: #a9b1ba; --line: #363c44; --track: #30363d;
    --good: #7fdca0; --good-paper: #10331f; --bad: #ff9d9d; --bad-paper: #471a1d; --error: #ffb877;
    --error-paper: #432a10; --skip: #c0c7ce; --skip-paper: #2b3138; --held: #bdb1ff; --held-paper: #29234d;
    --focus: #7db4ff;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
header { display: flex; gap: 1.25rem; align-items: center; padding: 1.25rem max(1rem, calc(50vw - 34rem)); }
header.good { background: var(--good-paper); color: var(--good); }
header.bad { background: var(--bad-paper); color: var(--bad); }
header h1 { margin: 0; font-size: 1.4rem; line-height: 1.2; }
header p { margin: 0.2rem 0 0; }
header .status { margin: 0; font-size: 2rem; font-weight: 800; letter-spacing: 0.04em; }
main { max-width: 70rem; margin: 0 auto; padding: 1rem; }
.totals { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0 0 1rem; }
.totals div { flex: 1 1 6.5rem; padding: 0.5rem 0.75rem; background: var(--card); border-radius: 0.5rem;
  display: flex; flex-direction: column-reverse; }
.totals dt { color: var(--soft); font-size: 0.85rem; }
.totals dd { margin: 0; font-size: 1.5rem; font-weight: 700; line-height: 1.2; }
.totals .passed dd { color: var(--good); }
.totals .failed dd { color: var(--bad); }
.totals .errored dd { color: var(--error); }
.note { padding: 0.6rem 0.9rem; background: var(--skip-paper); border-radius: 0.5rem; }
#filters { display: flex; flex-wrap: wrap; gap: 0.75rem 1.5rem; align-items: center; margin-bottom: 1rem; }
#filters[hidden] { display: none; }
fieldset { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; border: 0; margin: 0; padding: 0; align-items: center; }
legend { float: left; margin-right: 1rem; padding: 0; color: var(--soft); }
label { display: inline-flex; gap: 0.4rem; align-items: center; min-height: 2rem; }
input[type=search] { font: inherit; padding: 0.35rem 0.6rem; min-width: 0; width: 16rem; max-width: 100%;
  color: var(--ink); background: var(--paper); border: 1px solid var(--soft); border-radius: 0.4rem; }
input[type=checkbox] { width: 1.15rem; height: 1.15rem; accent-color: var(--focus); }
#shown { margin: 0; color: var(--soft); font-size: 0.9rem; }
#probes { list-style: none; margin: 0; padding: 0; }
#probes > li { padding: 0.7rem 0.9rem; border: 1px solid var(--line); border-left-width: 5px; border-radius: 0.5rem;
  margin-bottom: 0.5rem; }
#probes > li[hidden] { display: none; }
li.passed { border-left-color: var(--good); }
li.failed { border-left-color: var(--bad); }
li.errored { border-left-color: var(--error); }
li.skipped { border-left-color: var(--skip); }
.row { display: grid; grid-template-columns: 5.5rem minmax(0, 1fr) 15rem; gap: 0.25rem 0.9rem; align-items: center; }
.badge { text-align: center; font-size: 0.85rem; font-weight: 700; border-radius: 1rem; padding: 0.1rem 0.5rem; }
.passed .badge { color: var(--good); background: var(--good-paper); }
.failed .badge { color: var(--bad); background: var(--bad-paper); }
.errored .badge { color: var(--error); background: var(--error-paper); }
.skipped .badge { color: var(--skip); background: var(--skip-paper); }
h2 { margin: 0; font-size: 1rem; font-weight: 650; overflow-wrap: anywhere; }
h2 .path { color: var(--soft); font-weight: 400; }
.bar { display: flex; gap: 0.6rem; align-items: center; }
.bar svg { flex: 1; height: 0.5rem; min-width: 3rem; fill: var(--track); }
.bar .share { fill: var(--soft); }
.time { min-width: 5rem; text-align: right; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
.message { margin: 0.4rem 0 0; overflow-wrap: anywhere; font-weight: 500; }
.failed .message { color: var(--bad); }
.errored .message { color: var(--error); }
.tags { display: flex; flex-wrap: wrap; gap: 0.3rem; list-style: none; margin: 0.4rem 0 0; padding: 0; }
.tags li { font-size: 0.8rem; color: var(--soft); border: 1px solid var(--line); border-radius: 1rem;
  padding: 0 0.6rem; }
.effects { margin: 0.5rem 0 0; padding: 0.5rem 0.8rem; border-radius: 0.4rem; background: var(--held-paper); }
.effects.ran { background: var(--error-paper); }
.effects h3 { margin: 0; font-size: 0.85rem; color: var(--held); }
.effects.ran h3 { color: var(--error); }
.effects ul { margin: 0.2rem 0 0; padding-left: 1.1rem; }
code, pre { font: 0.85rem/1.45 ui-monospace, "SFMono-Regular", Consolas, monospace; }
code { overflow-wrap: anywhere; }
details { margin-top: 0.5rem; }
summary { cursor: pointer; width: fit-content; padding: 0.15rem 0.3rem; color: var(--soft); }
pre { margin: 0.3rem 0 0; padding: 0.7rem; overflow-x: auto; background: var(--card); border-radius: 0.4rem; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 0.3rem; }
@media (max-width: 40rem) {
  header .status { font-size: 1.5rem; }
  header h1 { font-size: 1.15rem; }
  .row { grid-template-columns: auto minmax(0, 1fr); }
  .row h2 { grid-column: 1 / -1; grid-row: 2; }
  #filters label:has([type=search]) { width: 100%; }
  input[type=search] { width: 100%; }
}
@media print { #filters { display: none; } }
"""

SCRIPT: Final = """
"use strict";
const form = document.getElementById("filters");
if (form) {
  const search = document.getElementById("search");
  const boxes = [...form.querySelectorAll("[name=outcome]")];
  const items = [...document.querySelectorAll("#probes > li")];
  const shown = document.getElementById("shown");
  const apply = () => {
    const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
    const outcomes = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let count = 0;
    for (const item of items) {
      const fits = outcomes.has(item.dataset.outcome) && words.every((word) => item.dataset.words.includes(word));
      item.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count} of ${items.length} shown`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
}
"""
