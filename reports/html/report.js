"use strict";
// Shows one view at a time, and the findings as pages of a list. What is chosen stands in the address, behind its #, so
// that a link says it: #findings?severity=critical&namespace=shop, and #finding=FINGERPRINT for one finding. Every text
// becomes a text node: nothing of a scan is ever read as markup.
(() => {
  const PAGE = 50;
  // More than this in print is a book.
  const PRINTED = 1000;
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const views = [...document.querySelectorAll(".view")];
  const ways = [...document.querySelectorAll(".bar a")];
  const list = byId("list");
  const controls = { q: byId("search"), namespace: byId("by-namespace"), area: byId("by-area"), rule: byId("by-rule"),
    control: byId("by-control"), environment: byId("by-environment"), outcome: byId("by-outcome"), trend: byId("by-trend"), group: byId("group") };
  const severities = [...document.querySelectorAll("input[name=severity]")];

  const element = (name, className, ...children) => {
    const made = document.createElement(name);
    if (className) {
      made.className = className;
    }
    made.append(...children.filter((child) => child !== null && child !== ""));
    return made;
  };
  const link = (href, text) => {
    const made = element("a", "", text);
    made.href = href;
    if (!href.startsWith("#")) {
      made.rel = "noreferrer noopener";
    }
    return made;
  };
  const plural = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  // Findings

  const NO_NAMESPACE = "(none)";
  // What all files with findings have in front of their names is left out in the list.
  const folders = data.findings.map((entry) => data.files[entry.f].split("/").slice(0, -1));
  let shared = folders.length ? folders[0].length : 0;
  for (const folder of folders) {
    let same = 0;
    while (same < shared && folder[same] === folders[0][same]) {
      same += 1;
    }
    shared = same;
  }
  const findings = data.findings.map((entry, number) => {
    const [kind, namespace, name] = data.objects[entry.b];
    const [rule, title] = data.rules[entry.r];
    const object = `${kind} ${namespace ? `${namespace}/` : ""}${name}`;
    const file = data.files[entry.f];
    return { entry, number, rule, title, object, file, severity: data.severities[entry.s], area: data.areas[entry.a],
      outcome: data.outcomes[entry.o], namespace: namespace || NO_NAMESPACE, place: `${file}:${entry.l}:${entry.c}`,
      shortly: `${file.split("/").slice(shared).join("/")}:${entry.l}:${entry.c}`,
      controls: entry.k.map((index) => data.controls[index].id),
      // Nothing where all environments have it, or there is but one.
      environments: (entry.v || []).map((index) => data.environments[index]),
      text: [entry.m, object, rule, title, file, entry.p, entry.n || "", entry.e || "",
        ...entry.k.map((index) => data.controls[index].id)].join("\n").toLowerCase() };
  });
  // What is listed without a choice.
  const usual = findings.some((finding) => finding.outcome === "fail") ? "fail" : "any";
  const groups = {
    "": (finding) => finding.severity,
    namespace: (finding) => `Namespace ${finding.namespace}`,
    object: (finding) => finding.object,
    rule: (finding) => `${finding.title} (${finding.rule})`,
    area: (finding) => finding.area,
    file: (finding) => finding.file,
  };

  const groupOf = (wanted) => groups[Object.hasOwn(groups, wanted.group) ? wanted.group : ""];

  // State and address

  const EMPTY = { view: "overview", q: "", severity: "", namespace: "", area: "", rule: "", control: "", environment: "",
    outcome: "", trend: "", object: "", group: "", page: 1, finding: "" };
  let state = { ...EMPTY };

  const read = (hash) => {
    const text = hash.replace(/^#/, "");
    const one = text.startsWith("finding=");
    const [view, query] = one ? ["findings", text] : [text.split("?", 1)[0], text.split("?").slice(1).join("?")];
    const found = { ...EMPTY, view };
    for (const [key, value] of new URLSearchParams(query)) {
      if (key in EMPTY && key !== "view") {
        found[key] = key === "page" ? Math.max(1, Number.parseInt(value, 10) || 1) : value;
      }
    }
    return found;
  };
  const address = (wanted) => {
    const query = new URLSearchParams();
    for (const key of Object.keys(EMPTY)) {
      if (key !== "view" && wanted[key] !== EMPTY[key]) {
        query.set(key, wanted[key]);
      }
    }
    const text = query.toString().replaceAll("%2C", ",");
    return `#${wanted.view}${text ? `?${text}` : ""}`;
  };
  const linkTo = (finding) => `#finding=${encodeURIComponent(finding.entry.i)}`;

  // Filters

  const matching = (wanted) => {
    const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = wanted.severity ? new Set(wanted.severity.split(",")) : null;
    const outcome = wanted.outcome || usual;
    const found = findings.filter((finding) =>
      (outcome === "any" || finding.outcome === outcome)
      && (!chosen || chosen.has(finding.severity))
      && (!wanted.namespace || finding.namespace === wanted.namespace)
      && (!wanted.object || finding.object === wanted.object)
      && (!wanted.area || finding.area === wanted.area)
      && (!wanted.rule || finding.rule === wanted.rule)
      && (!wanted.control || finding.controls.includes(wanted.control))
      && (!wanted.environment || !finding.environments.length || finding.environments.includes(wanted.environment))
      && (!wanted.trend || finding.entry.t === wanted.trend)
      && words.every((word) => finding.text.includes(word)));
    // Of one group, the most severe first, then by file.
    const group = wanted.group ? groupOf(wanted) : () => "";
    const keys = new Map(found.map((finding) => [finding, group(finding)]));
    return found.sort((one, other) => (keys.get(one) < keys.get(other) ? -1 : keys.get(one) > keys.get(other) ? 1
      : one.entry.s - other.entry.s || one.number - other.number));
  };

  // One finding

  const copied = (button, text) => {
    const said = button.textContent;
    const done = () => {
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = said; }, 1500);
    };
    const byHand = () => {
      const field = element("textarea", "");
      field.value = text;
      document.body.append(field);
      field.select();
      const worked = document.execCommand("copy");
      field.remove();
      if (worked) {
        done();
      } else {
        button.textContent = "Not permitted";
      }
    };
    if (navigator.clipboard && window.isSecureContext) {
      navigator.clipboard.writeText(text).then(done, byHand);
    } else {
      byHand();
    }
  };
  const copyButton = (label, text) => {
    const button = element("button", "small", label);
    button.type = "button";
    button.addEventListener("click", () => copied(button, text()));
    return button;
  };
  const cloned = (anchor, part) => {
    const source = anchor && byId(anchor);
    const prose = source && source.querySelector(part);
    return prose ? prose.cloneNode(true) : null;
  };
  const diff = (text) => {
    const block = element("pre", "diff");
    // It scrolls by itself, by keyboard, too.
    block.tabIndex = 0;
    block.setAttribute("role", "group");
    block.setAttribute("aria-label", "Fix, as a diff");
    for (const line of text.trimEnd().split("\n")) {
      const kind = line.startsWith("+") && !line.startsWith("+++") ? "add" : line.startsWith("-") && !line.startsWith("---") ? "del" : "";
      block.append(kind ? element("span", kind, `${line}\n`) : `${line}\n`);
    }
    return block;
  };
  const filterLink = (key, value, text) => link(address({ ...EMPTY, view: "findings", [key]: value }), text);

  const detail = (finding) => {
    const { entry } = finding;
    const [, , anchor] = data.rules[entry.r];
    const left = element("div", "");
    if (entry.x) {
      const [before, marked, after] = entry.x;
      left.append(element("h5", "", "Source"),
        element("pre", "", element("span", "number", String(entry.l)), before, element("mark", "", marked), after));
    }
    if (entry.d) {
      const box = element("div", "copyable", diff(entry.d));
      box.append(copyButton("Copy", () => entry.d));
      left.append(element("h5", "", "Fix"), box);
    }
    const remediation = cloned(anchor, ".remediation");
    if (remediation) {
      left.append(element("h5", "", "How to mend"), remediation);
    }
    const rationale = cloned(anchor, ".rationale");
    if (rationale) {
      left.append(element("h5", "", "Why it matters"), rationale);
    }
    const facts = element("dl", "");
    const fact = (name, ...values) => facts.append(element("dt", "", name), element("dd", "", ...values));
    fact("Object", filterLink("object", finding.object, finding.object));
    if (entry.n) {
      fact("Container", entry.n);
    }
    fact("Place", element("code", "", finding.place));
    if (entry.u) {
      fact("In the API", element("code", "", entry.u));
    }
    if (entry.p) {
      fact("Field", element("code", "", entry.p));
    }
    if (finding.environments.length) {
      fact("Only in", finding.environments.join(", "));
    }
    for (const [message, file, line, column] of entry.w || []) {
      fact("See also", element("code", "", `${data.files[file]}:${line}:${column}`), message ? ` ${message}` : "");
    }
    fact("Rule", anchor ? link(`#${anchor}`, finding.rule) : finding.rule, finding.title ? ` ${finding.title}` : "");
    for (const index of entry.k) {
      const control = data.controls[index];
      const clause = control.url ? link(control.url, control.clause || control.url) : control.clause;
      const line = control.place ? element("code", "", control.place) : "";
      fact("Control", filterLink("control", control.id, control.id), control.title ? ` ${control.title}` : "",
        ...(clause ? [element("br", ""), clause] : []), ...(line ? [" ", line] : []));
    }
    if (entry.e) {
      fact("Exception", link("#exceptions", entry.e));
    }
    if (entry.g) {
      fact("Reason", entry.g);
    }
    if (entry.t) {
      fact("Since before", entry.t === "new" ? "new" : "unchanged");
    }
    fact("Fingerprint", element("code", "", entry.i));
    const right = element("div", "", facts);
    const share = element("p", "no-print", link(linkTo(finding), "Link to this finding"), " ",
      copyButton("Copy link", () => new URL(linkTo(finding), location.href).href));
    right.append(share);
    return element("div", "detail", left, right);
  };

  const article = (finding, open) => {
    const { entry } = finding;
    const made = element("article", `finding ${finding.outcome === "fail" ? finding.severity : ""}`);
    const badge = element("span", `badge ${finding.severity}${finding.severity === "critical" ? " filled" : ""}`, finding.severity);
    const what = element("span", "what");
    if (finding.outcome !== "fail") {
      what.append(element("span", `badge ${finding.outcome}`, data.labels[finding.outcome]));
    }
    if (entry.t === "new") {
      what.append(element("span", "badge new", "new"));
    }
    what.append(entry.m);
    if (finding.environments.length) {
      what.append(` (only in ${finding.environments.join(", ")})`);
    }
    const where = element("span", "where", element("b", "", finding.object), finding.shortly);
    const button = element("button", "", element("span", "", badge), what, where);
    button.type = "button";
    button.setAttribute("aria-expanded", String(open));
    made.append(element("h4", "", button));
    made.dataset.fingerprint = entry.i;
    const show = () => {
      const body = detail(finding);
      body.id = `detail-${finding.number}`;
      button.setAttribute("aria-controls", body.id);
      made.append(body);
      made.classList.add("open");
    };
    if (open) {
      show();
    }
    button.addEventListener("click", () => {
      const opening = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", String(opening));
      if (opening) {
        show();
      } else {
        button.removeAttribute("aria-controls");
        made.querySelector(".detail").remove();
        made.classList.remove("open");
      }
      state = { ...state, finding: opening ? entry.i : "" };
      history.replaceState(null, "", address(state));
    });
    return made;
  };

  const fill = (found, shown, open) => {
    const group = groupOf(state);
    const sizes = new Map();
    for (const finding of found) {
      const key = group(finding);
      sizes.set(key, (sizes.get(key) || 0) + 1);
    }
    const parts = [];
    let before = null;
    for (const finding of shown) {
      const key = group(finding);
      if (key !== before) {
        parts.push(element("h3", "", key, " ", element("span", "count", plural(sizes.get(key), "finding"))));
        before = key;
      }
      parts.push(article(finding, open(finding)));
    }
    list.replaceChildren(...parts);
  };

  let found = [];
  const showFindings = (leap) => {
    found = matching(state);
    let target = null;
    if (state.finding) {
      target = found.find((finding) => finding.entry.i === state.finding);
      if (!target && leap) {
        // A link to a finding leads to it, whatever the filters say.
        const wanted = findings.find((finding) => finding.entry.i === state.finding);
        if (wanted) {
          state = { ...EMPTY, view: "findings", finding: state.finding, outcome: "any" };
          found = matching(state);
          target = wanted;
        }
      }
      if (target && leap) {
        state.page = Math.floor(found.indexOf(target) / PAGE) + 1;
      }
    }
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    state.page = Math.min(state.page, pages);
    const start = (state.page - 1) * PAGE;
    fill(found, found.slice(start, start + PAGE), (finding) => finding === target);
    const lacking = state.finding && leap && !target ? " The finding of the link is not in this report." : "";
    byId("status").textContent = found.length === 0 ? `No finding matches.${lacking}`
      : `${plural(found.length, "finding")} of ${findings.length.toLocaleString("en")}${pages > 1 ? `, ${(start + 1).toLocaleString("en")} to ${Math.min(start + PAGE, found.length).toLocaleString("en")} shown` : ""}.${lacking}`;
    byId("pager").hidden = pages < 2;
    byId("page").textContent = `Page ${state.page} of ${pages}`;
    byId("earlier").disabled = state.page <= 1;
    byId("later").disabled = state.page >= pages;
    for (const [key, control] of Object.entries(controls)) {
      if (control && control.value !== state[key]) {
        control.value = state[key];
      }
    }
    const chosen = state.severity ? state.severity.split(",") : null;
    for (const box of severities) {
      box.checked = !chosen || chosen.includes(box.value);
    }
    const object = byId("object");
    object.hidden = !state.object;
    object.textContent = `${state.object} ×`;
    object.setAttribute("aria-label", `No longer only ${state.object}`);
    byId("clear").disabled = Object.keys(EMPTY).every((key) =>
      ["view", "page", "finding", "group"].includes(key) || state[key] === EMPTY[key]);
    return target;
  };

  // Views

  const show = (leap) => {
    // A # that is no view is an anchor in one: a rule.
    let anchor = null;
    let view = byId(state.view);
    if (!view || !view.classList.contains("view")) {
      anchor = view;
      view = view && view.closest(".view");
      if (!view) {
        view = byId("overview");
        state = { ...EMPTY };
      }
    }
    for (const each of views) {
      each.classList.toggle("shown", each === view);
    }
    for (const way of ways) {
      if (way.hash === `#${view.id}`) {
        way.setAttribute("aria-current", "page");
      } else {
        way.removeAttribute("aria-current");
      }
    }
    if (view.id === "findings") {
      const target = showFindings(leap);
      if (leap && target) {
        const opened = [...list.querySelectorAll(".finding")].find((each) => each.classList.contains("open"));
        opened.scrollIntoView({ block: "start" });
        opened.querySelector("button").focus({ preventScroll: true });
      }
    }
    if (leap && anchor) {
      anchor.scrollIntoView();
    } else if (leap && !state.finding) {
      window.scrollTo(0, 0);
    }
  };
  const go = (changes, replace) => {
    state = { ...state, page: 1, finding: "", ...changes };
    history[replace ? "replaceState" : "pushState"](null, "", address(state));
    show(false);
  };
  const follow = () => {
    state = read(location.hash);
    show(true);
  };

  for (const [key, control] of Object.entries(controls)) {
    if (control && key !== "q") {
      control.addEventListener("change", () => go({ [key]: control.value }));
    }
  }
  // Typing is one step of the history, not one a letter.
  controls.q.addEventListener("input", () => go({ q: controls.q.value }, Boolean(state.q)));
  for (const box of severities) {
    box.addEventListener("change", () => {
      const chosen = severities.filter((each) => each.checked).map((each) => each.value);
      go({ severity: chosen.length === severities.length ? "" : chosen.join(",") || "none" });
    });
  }
  byId("object").addEventListener("click", () => {
    go({ object: "" });
    controls.q.focus();
  });
  byId("clear").addEventListener("click", () => {
    go({ ...EMPTY, view: "findings", group: state.group });
    controls.q.focus();
  });
  const turn = (by) => {
    go({ page: state.page + by });
    byId("status").scrollIntoView({ block: "center" });
  };
  byId("earlier").addEventListener("click", () => turn(-1));
  byId("later").addEventListener("click", () => turn(1));

  // Light and dark

  const theme = byId("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const sayTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; theme.setAttribute("aria-label", `Show it ${isDark() ? "light" : "dark"}`); };
  // A page from disk may have no storage.
  const stored = (write) => {
    try {
      return write === undefined ? localStorage.getItem("kubeassay-theme") : localStorage.setItem("kubeassay-theme", write);
    } catch {
      return null;
    }
  };
  const remembered = stored();
  if (remembered === "dark" || remembered === "light") {
    root.dataset.theme = remembered;
  }
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    stored(root.dataset.theme);
    sayTheme();
  });
  system.addEventListener("change", sayTheme);

  // Print: everything open, and all findings that the filters leave

  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const each of closed) {
      each.open = true;
    }
    found = matching(state);
    fill(found, found.slice(0, PRINTED), () => true);
    if (found.length > PRINTED) {
      list.append(element("p", "", `${plural(found.length - PRINTED, "more finding")} not printed: filter, and print again.`));
    }
  });
  window.addEventListener("afterprint", () => {
    for (const each of closed) {
      each.open = false;
    }
    closed = [];
    showFindings(false);
  });

  // On a phone the list comes first.
  byId("more").open = !window.matchMedia("(max-width: 46rem)").matches;
  root.classList.add("scripted");
  for (const each of document.querySelectorAll(".scripted-only")) {
    each.hidden = false;
  }
  sayTheme();
  window.addEventListener("hashchange", follow);
  follow();
  root.dataset.ready = "true";
})();
