// Draws the figures of a page: in the colors of the reader's scheme, in as many columns as fit, and anew for paper.
// LOOK stands before this: the templates of light and dark pages, and the colors that differ between them.
const DARK = matchMedia("(prefers-color-scheme: dark)");
const PHONE = matchMedia("(max-width: 600px)");
const PAPER = matchMedia("print");
const PAPER_WIDTH = 703;  // pixels between the margins of A4
const NARROW = 600;  // pixels of width under which panels stand in two columns

const places = [...document.querySelectorAll(".plot")];
const stage = document.querySelector(".stage");
const texts = new Map();
for (const place of stage ? [...places, stage] : places) {
  texts.set(place, place.querySelector("script").textContent);
}
let onPaper = false;

// A figure as it is to be drawn now. Colors are whole strings of its JSON, so no other text is changed.
function figureOf(place) {
  const isDark = DARK.matches && !onPaper;
  let text = texts.get(place);
  if (isDark) {
    for (const [light, dark] of Object.entries(LOOK.colors)) text = text.replaceAll(`"${light}"`, `"${dark}"`);
  }
  const figure = JSON.parse(text);
  figure.layout.template = isDark ? LOOK.dark : LOOK.light;
  return figure;
}

function draw(place) {
  const {data, layout} = figureOf(place);
  const width = onPaper ? PAPER_WIDTH : place.clientWidth;
  if (onPaper) layout.width = PAPER_WIDTH;
  if (PHONE.matches) layout.dragmode = false;  // a finger scrolls the page
  const grid = layout.meta?.grid;
  if (grid && isNarrow(width)) regrid(layout, grid, Math.min(2, grid.columns));
  place.isNarrow = isNarrow(width);
  place.style.minHeight = `${layout.height}px`;
  // Anew, for plotly keeps what a color bar has taken of the width when it is turned
  return Plotly.newPlot(place, data, layout, {responsive: !onPaper, displaylogo: false});
}

const isNarrow = width => width < NARROW;

// Figures follow the width by themselves, but not in the number of their columns.
function resized() {
  if (onPaper) return;
  for (const place of places) {
    if (place.isNarrow !== isNarrow(place.clientWidth)) draw(place);
  }
  drawTalk();
}

// Puts the panels of a figure into another number of columns.
function regrid(layout, grid, columns) {
  const rows = Math.ceil(grid.panels / columns), height = grid.row * rows;
  const frame = layout.height - grid.row * Math.ceil(grid.panels / grid.columns);
  const [across, down] = [columns > 1 ? 0.08 : 0, grid.gap / height];
  const [wide, high] = [(1 - across * (columns - 1)) / columns, (1 - down * (rows - 1)) / rows];
  const title = layout.yaxis.title, axisTitle = layout[`xaxis${grid.panels > 1 ? grid.panels : ""}`].title;
  const legend = layout.legend;
  layout.height = height + frame;
  const bar = layout.coloraxis?.colorbar;
  if (bar) Object.assign(bar, {orientation: "h", x: 0.5, y: 1, yanchor: "bottom", thickness: 8});
  if (legend?.y) legend.y = -60 / height;
  for (let index = 0; index < grid.panels; index++) {
    const name = index ? index + 1 : "", x = layout[`xaxis${name}`], y = layout[`yaxis${name}`];
    const column = index % columns, row = Math.floor(index / columns);
    const left = column * (wide + across), top = 1 - row * (high + down);
    x.domain = [left, Math.min(1, left + wide)];
    y.domain = [Math.max(0, top - high), top];
    Object.assign(x, {nticks: 3, tickangle: 0});
    x.title = {...x.title, text: (x.title?.text ?? "").replace(/^\w+\./, ""), font: {size: 11}};
    y.showticklabels = column === 0;
    y.title = column === 0 ? title : {text: ""};
    if (grid.shares_x) {
      x.showticklabels = index + columns >= grid.panels;
      x.tickvals = x.tickvals?.filter((_, tick) => tick % 2);  // every other one
      x.title = x.showticklabels ? axisTitle : {text: ""};
      Object.assign(layout.annotations[index], {x: left + wide / 2, y: top});
    }
  }
}

function drawAll() {
  places.forEach(draw);
  drawTalk();
}

// The overview for a talk, which is as large as the screen, or as the paper is wide.
function drawTalk() {
  if (!stage || location.hash !== "#talk") return;
  const {data, layout} = figureOf(stage);
  const scale = onPaper ? PAPER_WIDTH / layout.width : Math.min(innerWidth / layout.width, innerHeight / layout.height);
  stage.style.width = `${layout.width}px`;
  stage.style.zoom = scale;
  const button = {format: "png", width: layout.width, height: layout.height, scale: 1920 / layout.width};
  Plotly.newPlot(stage, data, layout, {displaylogo: false, toImageButtonOptions: {...button, filename: "overview"}});
}

const folded = new Set();
function toPaper() {
  if (onPaper) return;
  onPaper = true;
  for (const part of document.querySelectorAll("details:not([open])")) {
    folded.add(part);
    part.open = true;
  }
  drawAll();
}
function toScreen() {
  if (!onPaper) return;
  onPaper = false;
  for (const part of folded) part.open = false;
  folded.clear();
  drawAll();
}

drawAll();
addEventListener("beforeprint", toPaper);
addEventListener("afterprint", toScreen);
addEventListener("hashchange", drawTalk);
addEventListener("resize", resized);
addEventListener("keydown", event => { if (event.key === "Escape" && location.hash === "#talk") history.back(); });
PAPER.addEventListener("change", () => PAPER.matches ? toPaper() : toScreen());
DARK.addEventListener("change", drawAll);
PHONE.addEventListener("change", drawAll);
