// Which page the search shows first. Sphinx gives each page one number: 15 where a word stands in a heading, 5 where it
// stands in the text, so most pages are equal. Here a page comes first whose title, or one of whose main index entries
// (`{index} ! ...`), has the words that were asked for; and pages for users come before those on how the package is built.
var Scorer = {
  kinds: [
    ["how-to/moving-from", 0],
    ["how-to/", 4],
    ["tutorial", 4],
    ["reference/messages", 2],
    ["reference/api", -2],
    ["reference/", 3],
    ["explanation/", 2],
    ["limits", -4],
    ["changelog", -12],
    ["architecture", -12],
    ["contributing", -12],
  ],
  about: (page, title) => {
    const { docnames, indexentries } = Search._index;
    const isOf = ([file, , isMain]) => isMain && docnames[file] === page;
    const entries = Object.entries(indexentries).filter(([, places]) => places.some(isOf));
    return [title.toLowerCase(), ...entries.map(([entry]) => entry.toLowerCase())];
  },
  score: (result) => {
    const [page, title, , , found] = result;
    const query = new URLSearchParams(window.location.search).get("q") || "";
    const words = query.toLowerCase().match(/[a-z_]+/g) || [];
    const asked = words.filter((word) => word.length > 2 && !stopwords.has(word)).map((word) => word.slice(0, 5));
    const shares = Scorer.about(page, title).map((text) => asked.filter((word) => text.includes(word)).length);
    const kind = Scorer.kinds.find(([start]) => page.startsWith(start)) || ["", 0];
    // Four words and more may be a message that somebody has copied.
    const copied = asked.length >= 4 && page === "reference/messages" ? 16 : 0;
    return found + kind[1] + copied + (20 * Math.max(...shares)) / Math.max(1, asked.length);
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 4,
  term: 5,
  partialTerm: 2,
};
