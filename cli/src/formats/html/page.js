"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  // Far from each other, and from the red of what is wrong.
  const hue = (process) => Math.round(40 + 280 * ((process * 0.618034 + 0.6) % 1));
  const percent = (time) => (data.span > 0 ? (100 * time) / data.span : 0);

  const duration = (micros) => {
    for (const [unit, name] of [[6e7, "min"], [1e6, "s"], [1e3, "ms"], [1, "us"]]) {
      if (micros >= unit) return `${+(micros / unit).toPrecision(4)} ${name}`;
    }
    return micros > 0 ? `${Math.round(micros * 1000)} ns` : "0";
  };
  const size = (bytes) => {
    let value = bytes;
    let unit = "";
    for (const next of ["KiB", "MiB", "GiB", "TiB", "PiB"]) {
      if (value < 1024) break;
      value /= 1024;
      unit = next;
    }
    return unit ? `${value.toFixed(1)} ${unit}` : `${bytes} bytes`;
  };
  const who = (process) => `${data.processes[process].name}[${data.processes[process].pid}]`;

  // A bar from one time to another, as a part of the whole.
  const bar = (tag, from, to) => {
    const element = make(tag);
    element.style.left = `${Math.min(percent(from), 100)}%`;
    element.style.width = `${Math.max(percent(to) - percent(from), 0)}%`;
    return element;
  };
  const paint = (element, process) => element.style.setProperty("--hue", hue(process));

  const axis = () => {
    const line = make("div", "axis");
    line.setAttribute("role", "columnheader");
    line.setAttribute("aria-label", "Time");
    const step = [1, 2, 5, 10].map((n) => n * 10 ** Math.floor(Math.log10(data.span / 5 || 1))).find((n) => data.span / n <= 6) || 1;
    for (let at = 0; at <= data.span; at += step) {
      const left = percent(at);
      const tick = make("span", at === 0 ? "first" : left > 94 ? "last" : "", at === 0 ? "0" : duration(at));
      tick.style.left = `${left}%`;
      line.append(tick);
      if (data.span === 0) break;
    }
    return line;
  };

  // A list that shows only the rows in sight, moved through by the keyboard. `row(item)` makes one row's cells.
  class List {
    constructor(root, columns, items, row, open) {
      Object.assign(this, { root, items, row, open, shown: items, current: 0, chosen: null });
      this.head = make("div", "head");
      this.head.setAttribute("role", "row");
      for (const column of columns) this.head.append(this.title(column));
      this.head.append(axis());
      this.rows = make("div", "rows");
      root.append(this.head, this.rows);
      root.addEventListener("scroll", () => this.draw(), { passive: true });
      root.addEventListener("keydown", (event) => this.key(event));
      this.rows.addEventListener("click", (event) => {
        const row = event.target.closest(".row");
        if (row) this.choose(Number(row.dataset.at));
      });
      new ResizeObserver(() => this.draw()).observe(root);
      this.show(items);
    }

    title({ name, className, by }) {
      const cell = make("div", className);
      cell.setAttribute("role", "columnheader");
      if (!by) {
        cell.textContent = name;
        return cell;
      }
      const button = make("button", "", name);
      button.type = "button";
      button.addEventListener("click", () => this.sort(cell, name, by));
      cell.append(button);
      return cell;
    }

    sort(cell, name, by) {
      const down = cell.getAttribute("aria-sort") === "ascending";
      for (const other of this.head.children) {
        other.removeAttribute("aria-sort");
        const button = other.querySelector("button");
        if (button) button.textContent = button.textContent.replace(/ [\u2191\u2193]$/, "");
      }
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      cell.firstChild.textContent = `${name} ${down ? "\u2193" : "\u2191"}`;
      const order = (a, b) => (by(a) < by(b) ? -1 : by(a) > by(b) ? 1 : 0);
      this.items = [...this.items].sort((a, b) => (down ? -order(a, b) : order(a, b)));
      const kept = new Set(this.shown);
      this.show(this.items.filter((item) => kept.has(item)));
    }

    show(items) {
      this.shown = items;
      this.current = 0;
      this.root.scrollTop = 0;
      this.root.setAttribute("aria-rowcount", String(items.length + 1));
      this.draw();
    }

    height() {
      return window.matchMedia("(max-width: 760px)").matches ? 46 : 26;
    }

    draw() {
      const height = this.height();
      const inside = this.shown.length * height;
      this.rows.style.height = `${Math.max(inside, 40)}px`;
      const first = Math.max(0, Math.floor(this.root.scrollTop / height) - 4);
      const last = Math.min(this.shown.length, first + Math.ceil((this.root.clientHeight || 600) / height) + 10);
      const rows = [];
      for (let at = first; at < last; at += 1) rows.push(this.line(at, height));
      if (this.shown.length === 0) rows.push(make("p", "nothing", "Nothing here."));
      this.rows.replaceChildren(...rows);
      const current = this.rows.querySelector(".current");
      if (current) this.root.setAttribute("aria-activedescendant", current.id);
      else this.root.removeAttribute("aria-activedescendant");
    }

    line(at, height) {
      const item = this.shown[at];
      const row = make("div", "row");
      row.id = `${this.root.id}-${at}`;
      row.dataset.at = at;
      row.setAttribute("role", "row");
      row.setAttribute("aria-rowindex", String(at + 2));
      row.classList.toggle("current", at === this.current);
      row.classList.toggle("chosen", item === this.chosen);
      row.setAttribute("aria-selected", String(item === this.chosen));
      row.style.top = `${at * height}px`;
      for (const cell of this.row(item)) {
        cell.setAttribute("role", "gridcell");
        row.append(cell);
      }
      return row;
    }

    key(event) {
      const page = Math.max(1, Math.floor(this.root.clientHeight / this.height()) - 2);
      const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
      if (event.target !== this.root) return;
      if (by !== undefined) {
        event.preventDefault();
        this.current = Math.min(Math.max(this.current + by, 0), Math.max(this.shown.length - 1, 0));
        this.reveal();
      } else if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        this.choose(this.current);
      } else if (event.key === "Escape") {
        this.choose(-1);
      }
    }

    reveal() {
      const height = this.height();
      const top = this.current * height;
      const room = this.root.clientHeight - this.head.offsetHeight;
      if (top < this.root.scrollTop) this.root.scrollTop = top;
      else if (top + height > this.root.scrollTop + room) this.root.scrollTop = top + height - room;
      this.draw();
    }

    choose(at) {
      const item = this.shown[at];
      this.chosen = item === undefined || item === this.chosen ? null : item;
      if (item !== undefined) this.current = at;
      this.draw();
      this.open(this.chosen);
    }
  }

  // Processes.
  const processRow = (process) => {
    const name = make("div", "name");
    const swatch = make("span", "swatch");
    paint(swatch, process.index);
    name.append(swatch, `${who(process.index)} ${process.args}`);
    name.title = `${process.exe} ${process.args}`;
    const life = make("div", "life");
    const own = bar("b", process.start, process.end);
    own.style.top = "0";
    own.style.height = "100%";
    paint(own, process.index);
    life.append(own);
    return [name, make("div", "number", duration(process.end - process.start)), make("div", "state", process.how), life];
  };
  data.processes.forEach((process, index) => { process.index = index; });
  const filterBy = (process) => {
    words.value = process ? who(process.index) : "";
    search();
  };
  const processes = new List(byId("processes"), [
    { name: "Process", className: "name" },
    { name: "Time", className: "number" },
    { name: "End", className: "state" },
  ], data.processes, processRow, (process) => filterBy(process));

  // Objects.
  const objectRow = (object) => {
    const life = make("div", "life");
    life.append(bar("i", object.start, object.end));
    const lanes = Math.min(object.uses.length, 4);
    object.uses.forEach(([process, from, to], index) => {
      const use = bar("b", from, to);
      const lane = Math.min(index, lanes - 1);
      use.style.top = `${(100 * lane) / lanes}%`;
      use.style.height = `${100 / lanes}%`;
      use.title = who(process);
      paint(use, process);
      life.append(use);
    });
    if (object.state === "leaked") {
      const mark = make("u");
      mark.style.left = `calc(${Math.min(percent(object.end), 100)}% - 3px)`;
      life.append(mark);
    }
    const name = make("div", "name", object.label);
    name.title = object.label;
    return [name, make("div", "number", size(object.size)), make("div", `state state-${object.state}`, object.state), life];
  };
  const stack = (title, event) => {
    const part = document.createDocumentFragment();
    if (!event) return part;
    part.append(make("h3", "", `${title} by ${event.call} in ${event.who}, at ${duration(event.time)}`));
    const list = make("ol", "stack");
    list.start = 0;
    for (const frame of data.stacks[event.stack]) list.append(make("li", "", frame));
    part.append(list);
    return part;
  };
  const openObject = (object) => {
    const panel = byId("object");
    panel.hidden = !object;
    if (!object) return;
    const facts = make("dl");
    const fact = (name, value) => facts.append(make("dt", "", name), make("dd", "", value));
    fact("State", object.state);
    fact("Size", `${object.size} bytes`);
    if (object.mode) fact("Mode", object.mode);
    if (object.identity) fact("Identity", object.identity);
    fact("Life", `from ${duration(object.start)} to ${duration(object.end)}`);
    if (object.attached) fact("Attachments", object.attached);
    fact("Used by", object.uses.map(([process, from, to]) => `${who(process)} (${duration(from)} to ${duration(to)})`).join(", ") || "nobody that was audited");
    fact("Calls", object.calls || "their records are lost");
    panel.replaceChildren(make("h3", "", object.label), facts, stack("Made", object.created), stack("Removed", object.removed));
    panel.scrollIntoView({ block: "nearest" });
  };
  data.objects.sort((a, b) => a.start - b.start);
  const order = { leaked: 0, pending: 1, exists: 2, gone: 3, removed: 4 };
  const objects = new List(byId("objects"), [
    { name: "Object", className: "name", by: (object) => object.label },
    { name: "Size", className: "number", by: (object) => object.size },
    { name: "State", className: "state", by: (object) => order[object.state] },
  ], data.objects, objectRow, openObject);

  // Searching: every word must be there.
  const words = byId("words");
  const findings = [...document.querySelectorAll(".finding")];
  const text = new Map();
  const textOf = (thing) => {
    let known = text.get(thing);
    if (known === undefined) {
      if (thing instanceof Element) known = thing.textContent;
      else {
        const frames = [thing.created, thing.removed].map((event) => (event ? `${event.who} ${data.stacks[event.stack].join(" ")}` : ""));
        known = [thing.label, thing.state, thing.family, thing.identity, thing.size, ...thing.uses.map(([process]) => who(process)), ...frames].join(" ");
      }
      known = known.toLowerCase();
      text.set(thing, known);
    }
    return known;
  };
  const search = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const has = (thing) => wanted.every((word) => textOf(thing).includes(word));
    let kept = 0;
    for (const finding of findings) {
      finding.hidden = !has(finding);
      if (!finding.hidden) kept += 1;
    }
    byId("no-findings").hidden = kept > 0 || wanted.length === 0;
    objects.show(wanted.length ? objects.items.filter(has) : objects.items);
    byId("found").textContent = wanted.length ? `${kept} of ${findings.length} findings, ${objects.shown.length} of ${data.objects.length} objects` : "";
  };
  words.addEventListener("input", search);
  words.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      words.value = "";
      search();
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      objects.root.focus();
    }
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement;
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      words.focus();
      words.select();
    }
  });
  document.querySelector(".bar").hidden = false;

  // The theme: the system's, or the other one.
  const theme = byId("theme");
  const themes = [["", "as the system"], ["light", "light"], ["dark", "dark"]];
  let chosen = 0;
  theme.addEventListener("click", () => {
    chosen = (chosen + 1) % themes.length;
    const [value, name] = themes[chosen];
    if (value) document.documentElement.dataset.theme = value;
    else delete document.documentElement.dataset.theme;
    theme.textContent = `Theme: ${name}`;
  });
  theme.hidden = false;
  void processes;
})();
