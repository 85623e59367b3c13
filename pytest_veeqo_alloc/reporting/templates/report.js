"use strict";
// Hide whatever does not match the search. Without this script the page shows everything.
(function () {
  const box = document.getElementById("search"), status = document.getElementById("matches");
  const rows = Array.from(document.querySelectorAll("[data-find]"));
  const groups = Array.from(document.querySelectorAll("[data-group]"));
  const folds = Array.from(document.querySelectorAll("details"));
  const open = folds.map((fold) => fold.open);
  document.getElementById("searching").hidden = false;
  function filter() {
    const wanted = box.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const fits = row.dataset.find.toLowerCase().includes(wanted);
      row.dataset.fits = fits;
      count += fits;
    }
    for (const row of rows) row.hidden = row.dataset.fits === "false" && !row.querySelector('[data-fits="true"]');
    for (const group of groups) group.hidden = wanted && !group.querySelector('[data-fits="true"]');
    folds.forEach((fold, index) => { fold.open = wanted ? !!fold.querySelector('[data-fits="true"]') : open[index]; });
    status.textContent = wanted ? count + (count === 1 ? " match" : " matches") : "";
  }
  box.addEventListener("input", filter);
})();
