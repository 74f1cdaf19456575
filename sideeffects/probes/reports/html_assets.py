"""Style, script and icons of the page."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root {
  --paper: #fff; --card: #f5f6f8; --ink: #1b1f23; --soft: #57606a; --line: #d5d9de; --track: #e4e7eb; --share: #6b747e;
  --good: #116632; --good-paper: #daf3e3; --good-fill: #2f9e5b;
  --bad: #a3141c; --bad-paper: #fde4e4; --bad-fill: #d3333c;
  --error: #8a3d00; --error-paper: #ffe9d3; --error-fill: #e08025;
  --skip: #4a5159; --skip-paper: #e7eaee; --skip-fill: #a9b1ba;
  --held: #4b3aa8; --held-paper: #eeebfc; --focus: #0b5cd6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --card: #1d2126; --ink: #e9edf0; --soft: #a5aeb7; --line: #343a42; --track: #2c323a;
    --share: #8b959f;
    --good: #83dda3; --good-paper: #10301e; --good-fill: #35a262;
    --bad: #ffa3a3; --bad-paper: #451a1d; --bad-fill: #e0525a;
    --error: #ffbb7d; --error-paper: #402910; --error-fill: #d98330;
    --skip: #c0c7ce; --skip-paper: #2b3138; --skip-fill: #616a74;
    --held: #c2b8ff; --held-paper: #262145; --focus: #7db4ff;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
header > div, main { max-width: 72rem; margin: 0 auto; padding: 1.1rem 1.25rem; }
header > div { display: grid; grid-template-columns: auto 1fr; column-gap: 1.25rem; align-items: center; }
header.good { background: var(--good-paper); color: var(--good); }
header.bad { background: var(--bad-paper); color: var(--bad); }
header h1 { margin: 0; font-size: 1.4rem; line-height: 1.2; }
header p { margin: 0; }
header .status { grid-row: 1 / 3; padding: 0.35rem 1rem; font-size: 1.7rem; line-height: 1.3; font-weight: 800;
  letter-spacing: 0.05em; border: 3px solid currentcolor; border-radius: 0.6rem; }
.shares { display: block; width: 100%; height: 0.5rem; margin: 0.2rem 0 1rem; border-radius: 0.25rem;
  background: var(--track); }
.shares .passed { fill: var(--good-fill); }
.shares .failed { fill: var(--bad-fill); }
.shares .errored { fill: var(--error-fill); }
.shares .skipped { fill: var(--skip-fill); }
.totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: 0.5rem;
  margin: 0 0 1.25rem; }
.totals div { padding: 0.5rem 0.8rem; background: var(--card); border-radius: 0.5rem; display: flex;
  flex-direction: column-reverse; justify-content: flex-end; }
.totals dt { color: var(--soft); font-size: 0.85rem; line-height: 1.3; }
.totals dd { margin: 0; font-size: 1.5rem; font-weight: 700; line-height: 1.25; font-variant-numeric: tabular-nums; }
.totals .none dd { color: var(--soft); font-weight: 400; }
.totals .passed dd { color: var(--good); }
.totals .failed dd { color: var(--bad); }
.totals .errored dd { color: var(--error); }
.totals .held dd { color: var(--held); }
.note { margin: 0 0 1.25rem; padding: 0.6rem 0.9rem; background: var(--skip-paper); border-radius: 0.5rem; }
#filters { display: flex; flex-wrap: wrap; gap: 0.5rem 1.75rem; align-items: center; margin-bottom: 0.9rem; }
#filters[hidden] { display: none; }
fieldset { display: flex; flex-wrap: wrap; gap: 0 1.1rem; border: 0; margin: 0; padding: 0; min-width: 0;
  align-items: center; }
legend { float: left; padding: 0; }
label { display: inline-flex; gap: 0.45rem; align-items: center; min-height: 2rem; cursor: pointer; }
.count { color: var(--soft); font-size: 0.85rem; font-variant-numeric: tabular-nums; }
input[type=search] { font: inherit; padding: 0.35rem 0.65rem; min-width: 0; width: 17rem; color: var(--ink);
  background: var(--paper); border: 1px solid var(--share); border-radius: 0.4rem; }
input::placeholder { color: var(--soft); opacity: 1; }
input[type=checkbox] { width: 1.15rem; height: 1.15rem; margin: 0; accent-color: var(--focus); }
#shown { margin: 0 0 0 auto; color: var(--soft); font-size: 0.9rem; }
#nothing { color: var(--soft); }
#probes { list-style: none; margin: 0; padding: 0; }
.probe { padding: 0.5rem 0.9rem; border: 1px solid var(--line); border-left: 5px solid var(--good-fill);
  margin-top: -1px; }
.probe[hidden] { display: none; }
.probe.failed { border-left-color: var(--bad-fill); }
.probe.errored { border-left-color: var(--error-fill); }
.probe.skipped { border-left-color: var(--skip-fill); }
.row { display: grid; grid-template-columns: 5.25rem minmax(0, 1fr) 15rem; gap: 0.25rem 1rem; align-items: baseline; }
.badge { text-align: center; font-size: 0.82rem; font-weight: 650; border-radius: 1rem; padding: 0.05rem 0.5rem; }
.passed .badge { color: var(--good); background: var(--good-paper); }
.failed .badge { color: var(--bad); background: var(--bad-paper); }
.errored .badge { color: var(--error); background: var(--error-paper); }
.skipped .badge { color: var(--skip); background: var(--skip-paper); }
h2 { margin: 0; font-size: 1rem; font-weight: 600; overflow-wrap: anywhere; }
h2 .path { color: var(--soft); font-weight: 400; }
.bar { display: flex; gap: 0.6rem; align-items: center; }
.bar svg { flex: 1; height: 0.5rem; min-width: 3rem; background: var(--track); border-radius: 3px; }
.share { fill: var(--share); }
.time { min-width: 4.5rem; text-align: right; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
.more { display: grid; gap: 0.45rem; margin: 0.3rem 0 0.25rem 6.25rem; min-width: 0; }
.more > * { min-width: 0; }
.message { margin: 0; overflow-wrap: anywhere; font-weight: 500; }
.failed .message { color: var(--bad); }
.errored .message { color: var(--error); }
.skipped .message { color: var(--soft); font-weight: 400; }
.tags { display: flex; flex-wrap: wrap; gap: 0.3rem; list-style: none; margin: 0; padding: 0; }
.tags li { font-size: 0.8rem; line-height: 1.45; color: var(--soft); border: 1px solid var(--line);
  border-radius: 1rem; padding: 0 0.6rem; }
.effects { padding: 0.45rem 0.8rem 0.55rem; border-radius: 0.4rem; background: var(--held-paper); }
.effects h3 { margin: 0; font-size: 0.82rem; font-weight: 650; color: var(--held); }
.effects.ran { background: var(--error-paper); }
.effects.ran h3 { color: var(--error); }
.effects ul { list-style: none; margin: 0.1rem 0 0; padding: 0; }
code, pre { font: 0.85rem/1.5 ui-monospace, "SFMono-Regular", Consolas, "DejaVu Sans Mono", monospace; }
code { overflow-wrap: anywhere; }
summary { cursor: pointer; width: fit-content; padding: 0.1rem 0.3rem; margin-left: -0.3rem; color: var(--soft); }
pre { margin: 0.3rem 0 0; padding: 0.7rem 0.8rem; max-height: 32rem; overflow: auto; background: var(--card);
  border-radius: 0.4rem; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 0.3rem; }
@media (max-width: 48rem) {
  header > div, main { padding: 0.9rem; }
  header > div { column-gap: 0.9rem; }
  header h1 { font-size: 1.15rem; }
  header .status { font-size: 1.3rem; padding: 0.3rem 0.7rem; }
  header .when { font-size: 0.9rem; }
  .totals { grid-template-columns: repeat(4, 1fr); gap: 0.4rem; }
  .totals div { padding: 0.4rem 0.6rem; }
  .totals dd { font-size: 1.25rem; }
  .totals dt { font-size: 0.78rem; }
  .totals div:nth-child(7) { grid-column: span 2; }
  .row { grid-template-columns: auto minmax(0, 1fr); align-items: center; }
  .row h2 { grid-column: 1 / -1; grid-row: 2; line-height: 1.35; }
  .more { margin-left: 0; }
  #filters { gap: 0.25rem; }
  .search, input[type=search] { width: 100%; }
  #shown { margin-left: 0; width: 100%; }
}
@media print { #filters { display: none; } pre { max-height: none; white-space: pre-wrap; } }
"""

SCRIPT: Final = """
"use strict";
const form = document.getElementById("filters");
if (form) {
  const search = document.getElementById("search");
  const list = document.getElementById("probes");
  const boxes = [...form.querySelectorAll("[name=outcome]")];
  const items = [...document.querySelectorAll(".probe")].map((element) => [element, element.textContent.toLowerCase()]);
  const apply = () => {
    const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
    const outcomes = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let count = 0;
    list.style.display = "none";
    list.getBoundingClientRect();  // it is gone: taking away thousands of rows one by one takes the browser seconds
    for (const [element, text] of items) {
      const fits = outcomes.has(element.dataset.outcome) && words.every((word) => text.includes(word));
      element.hidden = !fits;
      count += fits;
    }
    list.style.display = "";
    document.getElementById("shown").textContent = `${count} of ${items.length} shown`;
    document.getElementById("nothing").hidden = count > 0;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
}
"""


def _icon(path: str, colour: str) -> str:
    return (
        f"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' "
        f"r='8' fill='%23{colour}'/%3E%3Cpath d='{path}' fill='none' stroke='%23fff' stroke-width='2.2' "
        f"stroke-linecap='round'/%3E%3C/svg%3E"
    )


#: What the browser's tab shows.
ICONS: Final = {"good": _icon("M4.5 8.5l2.5 2.5 4.5-5.5", "2f9e5b"), "bad": _icon("M5 5l6 6M11 5l-6 6", "d3333c")}
