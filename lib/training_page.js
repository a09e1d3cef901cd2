// Reads a chart of the training page: the pointer, or the arrow keys, choose a step, and its values are written below.
"use strict";
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const LEFT = 48, RIGHT = 352, TOP = 8, BOTTOM = 150; // as lib/charts.py draws
  const text = (value) => (value === null ? "–" : Number(value.toPrecision(4)).toString());

  document.querySelectorAll("figure.chart").forEach((figure, place) => {
    const { lines } = data[place];
    const svg = figure.querySelector("svg");
    const readout = figure.querySelector(".readout");
    const known = lines.flatMap((line) => line.points.filter((point) => point[1] !== null).map((point) => point[0]));
    const steps = [...new Set(lines.flatMap((line) => line.points.map((point) => point[0])))].sort((a, b) => a - b);
    const low = Math.min(...known), high = Math.max(...known);
    const mark = document.createElementNS("http://www.w3.org/2000/svg", "line");
    mark.setAttribute("class", "at");
    let chosen = steps.length - 1;

    const show = () => {
      const step = steps[chosen];
      const x = LEFT + (RIGHT - LEFT) * (high > low ? (step - low) / (high - low) : 0);
      for (const [name, value] of [["x1", x], ["x2", x], ["y1", TOP], ["y2", BOTTOM]]) mark.setAttribute(name, value);
      svg.append(mark);
      const parts = lines.flatMap((line) => {
        const point = line.points.find((one) => one[0] === step);
        if (!point) return [];
        const span = document.createElement("span");
        span.className = line.kind;
        span.textContent = `${line.name} ${text(point[1])}`;
        return [span];
      });
      const head = document.createElement("span");
      head.textContent = `step ${step}`;
      readout.replaceChildren(head, ...parts);
    };

    const choose = (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * 360;
      const wanted = low + ((x - LEFT) / (RIGHT - LEFT)) * (high - low);
      chosen = steps.reduce((best, step, i) => (Math.abs(step - wanted) < Math.abs(steps[best] - wanted) ? i : best), 0);
      show();
    };

    svg.addEventListener("pointermove", choose);
    svg.addEventListener("pointerdown", choose);
    figure.addEventListener("focus", show);
    figure.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1, Home: -steps.length, End: steps.length }[event.key];
      if (!move) return;
      event.preventDefault();
      chosen = Math.max(0, Math.min(steps.length - 1, chosen + move));
      show();
    });
  });
}
