// Draws every figure in the page's colours, and again when width, colours or paper change.
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 48rem)");
let printing = false;

function draw(place) {
  const figure = JSON.parse(document.getElementById(place.id + "-data").textContent);
  const layout = narrow.matches && !printing ? figure.narrow : figure.wide;
  const ink = dark.matches && !printing ? "#e8ebee" : "#1d232a";
  layout.font = { ...layout.font, color: ink };
  place.style.height = layout.height + "px";  // Plotly keeps the first one when a figure is drawn again
  if (printing) layout.width = 1000;  // page.css scales it to the 680 pixels of a sheet of paper
  Plotly.purge(place);  // or a colour bar that stood beside the figure would leave its room above it
  return Plotly.newPlot(place, figure.data, layout, { responsive: !printing, displayModeBar: false });
}

function drawAll() {
  return Promise.all(Array.from(document.querySelectorAll(".plot"), draw));
}

if (window.Plotly) {
  document.querySelectorAll(".plot").forEach(place => place.replaceChildren());
  window.figuresDrawn = drawAll();
  for (const change of [dark, narrow]) change.addEventListener("change", () => { window.figuresDrawn = drawAll(); });
  addEventListener("beforeprint", () => { printing = true; window.figuresDrawn = drawAll(); });
  addEventListener("afterprint", () => { printing = false; window.figuresDrawn = drawAll(); });
}
