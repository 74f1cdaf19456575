// What scrolls sideways can be scrolled with the keyboard, too.
const reachable = () => {
    for (const box of document.querySelectorAll("pre, .table-wrapper, .sig"))
        if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
};
for (const moment of ["load", "resize", "change"]) addEventListener(moment, reachable);
