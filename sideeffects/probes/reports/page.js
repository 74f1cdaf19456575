"use strict";
const form = document.getElementById("filters");
if (form) {
  const search = document.getElementById("search");
  const list = document.getElementById("probes");
  const boxes = [...form.querySelectorAll("[name=outcome]")];
  const items = [...document.querySelectorAll(".probe")].map((element) => [element, element.textContent.toLowerCase()]);
  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
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
