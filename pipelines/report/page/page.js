(function () {
  "use strict";
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const rows = (columns) => {
    const names = Object.keys(columns);
    const length = names.length ? columns[names[0]].length : 0;
    return Array.from({ length }, (_, i) => Object.fromEntries(names.map((name) => [name, columns[name][i]])));
  };
  const datasets = Object.fromEntries(Object.entries(read("data")).map(([name, columns]) => [name, rows(columns)]));
  const specs = read("specs");
  const options = { renderer: "svg", actions: false, ast: true };
  const drawn = Array.from(document.querySelectorAll("[data-chart]"), (place) => {
    const spec = Object.assign({}, specs[place.dataset.chart], { datasets });
    return vegaEmbed(place, spec, options).catch((error) => {
      place.textContent = "This chart could not be drawn: " + error.message;
      console.error(error);
    });
  });
  Promise.all(drawn).then(() => document.documentElement.setAttribute("data-drawn", ""));
})();
