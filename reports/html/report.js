"use strict";
// Filters the findings. Without it the page shows everything.
(() => {
  const filter = document.getElementById("filter");
  const search = document.getElementById("search");
  const status = document.getElementById("shown");
  const boxes = [...filter.querySelectorAll("input[type=checkbox]")];
  const objects = [...document.querySelectorAll("section.object")].map((section) => ({
    section,
    findings: [...section.querySelectorAll("article.finding")].map((article) => ({
      article,
      severity: article.dataset.severity,
      // The object's heading belongs to each of its findings, so that its name finds them.
      text: (section.querySelector("h3").textContent + " " + article.textContent).toLowerCase(),
    })),
  }));
  const total = objects.reduce((sum, object) => sum + object.findings.length, 0);
  if (total === 0) {
    return;
  }
  const mentions = [...document.querySelectorAll("li[data-of]")];

  const apply = () => {
    const severities = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hidden = new Set();
    for (const { section, findings } of objects) {
      let visible = 0;
      for (const { article, severity, text } of findings) {
        const wanted = severities.has(severity) && words.every((word) => text.includes(word));
        article.hidden = !wanted;
        if (wanted) {
          visible += 1;
        } else {
          hidden.add(article.id);
        }
      }
      section.hidden = visible === 0;
    }
    for (const mention of mentions) {
      mention.hidden = hidden.has(mention.dataset.of);
    }
    status.textContent = `${total - hidden.size} of ${total} listed`;
  };

  // A link to a finding that the filter hides must still lead to it.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.hidden) {
      boxes.forEach((box) => { box.checked = true; });
      search.value = "";
      apply();
      target.scrollIntoView();
    }
  };

  filter.hidden = false;
  filter.addEventListener("change", apply);
  search.addEventListener("input", apply);
  window.addEventListener("hashchange", reveal);
  apply();
})();
