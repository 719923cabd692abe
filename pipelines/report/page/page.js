(function () {
  "use strict";
  const root = document.documentElement;
  root.classList.add("scripted");
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const rows = (columns) => {
    const names = Object.keys(columns);
    const length = names.length ? columns[names[0]].length : 0;
    return Array.from({ length }, (_, i) => Object.fromEntries(names.map((name) => [name, columns[name][i]])));
  };
  const data = Object.fromEntries(Object.entries(read("data")).map(([name, columns]) => [name, rows(columns)]));
  const specs = read("specs");
  const views = new Map();

  /* The charts. Those of single assets are drawn when they are opened, or while the reader is busy elsewhere. */
  const widthOf = (place) => Math.max(240, Math.floor((place.clientWidth || sheetWidth(place)) - 2));
  const sheetWidth = (place) => {
    const details = place.closest("details");
    return details ? details.clientWidth - 26 : place.parentElement.clientWidth;
  };
  const datasetsOf = (spec, asset) => {
    const used = new Set(Array.from(JSON.stringify(spec).matchAll(/"data":\{"name":"(\w+)"/g), (match) => match[1]));
    return Object.fromEntries(Array.from(used, (name) => {
      const all = data[name] || [];
      return [name, asset === undefined ? all : all.filter((row) => row.k === Number(asset))];
    }));
  };
  const draw = (place) => {
    if (views.has(place)) return views.get(place);
    const spec = specs[place.dataset.chart];
    const width = widthOf(place);
    const whole = Object.assign({}, spec, { width, datasets: datasetsOf(spec, place.dataset.asset) });
    // Vega gives its own place a role and a name: ours tells more, and stays around it.
    const canvas = place.appendChild(document.createElement("div"));
    canvas.setAttribute("aria-hidden", "true");
    const drawn = vegaEmbed(canvas, whole, { renderer: "svg", actions: false, ast: true })
      .then((result) => {
        result.view.shownWidth = width;
        return result.view;
      })
      .catch((error) => {
        place.textContent = "This chart could not be drawn: " + error.message;
        console.error(error);
      });
    views.set(place, drawn);
    return drawn;
  };
  const places = Array.from(document.querySelectorAll("[data-chart]"));
  const hidden = (place) => place.closest("details:not([open])") !== null;
  const later = window.requestIdleCallback || ((work) => window.setTimeout(work, 60));
  const drawRest = () => {
    const next = places.find((place) => !views.has(place));
    if (next) draw(next).then(() => later(drawRest));
    else root.setAttribute("data-drawn-all", "");
  };
  Promise.all(places.filter((place) => !hidden(place)).map(draw)).then(() => {
    root.setAttribute("data-drawn", "");
    later(drawRest);
  });
  const fit = (place) => views.has(place) && !hidden(place) && views.get(place).then((view) => {
    const width = widthOf(place);
    if (view && Math.abs(width - view.shownWidth) > 1) {
      view.shownWidth = width;
      return view.width(width).runAsync();
    }
  });
  let waiting = 0;
  window.addEventListener("resize", () => {
    window.clearTimeout(waiting);
    waiting = window.setTimeout(() => places.forEach(fit), 120);
  });

  /* Details open when something in them is linked to, and all of them for paper. */
  const all = Array.from(document.querySelectorAll("details"));
  all.forEach((one) => one.addEventListener("toggle", () => {
    if (one.open) one.querySelectorAll("[data-chart]").forEach((place) => (views.has(place) ? fit(place) : draw(place)));
  }));
  const openTarget = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      target.querySelector("summary").focus({ preventScroll: true });
      target.scrollIntoView();
    }
  };
  window.addEventListener("hashchange", openTarget);
  openTarget();
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = all.filter((one) => !one.open);
    closed.forEach((one) => { one.open = true; });
  });
  window.addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));

  /* The headings of the table of assets sort it. */
  const valueOf = (cell, kind) => (kind === "number" ? (cell.dataset.key === "" ? NaN : Number(cell.dataset.key)) : cell.dataset.key);
  const compare = (kind, way) => (a, b) => {
    if (kind === "text") return way * a.localeCompare(b, undefined, { numeric: true });
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return way * (a - b);
  };
  document.querySelectorAll("table.sortable").forEach((table) => {
    const body = table.tBodies[0];
    const heads = Array.from(table.tHead.rows[0].cells);
    const said = document.createElement("p");
    said.className = "hidden";
    said.setAttribute("role", "status");
    table.parentElement.after(said);
    heads.forEach((head, column) => {
      const kind = head.dataset.sort;
      const title = head.textContent;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = title;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", way === 1 ? "ascending" : "descending");
        const keyed = Array.from(body.rows, (row) => [valueOf(row.cells[column], kind), row]);
        keyed.sort(([a], [b]) => compare(kind, way)(a, b));
        body.append(...keyed.map(([, row]) => row));
        said.textContent = "Sorted by " + title + (way === 1 ? ", ascending" : ", descending");
      });
    });
  });
})();
