"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const root = document.documentElement;
  const coarse = matchMedia("(pointer: coarse)").matches;
  const wantsDark = matchMedia("(prefers-color-scheme: dark)");
  // Okabe and Ito's colours, each a little darker on white and lighter on black; told apart by
  // their dashes and marks too.
  const COLORS = [
    ["#0072b2", "#56b4e9"], ["#d55e00", "#ff9e5e"], ["#007a5a", "#2fd6a3"],
    ["#a8508a", "#e59ac9"], ["#8a6d00", "#f0e442"], ["#444444", "#cccccc"],
  ];
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
  const MARKS = ["circle", "square", "diamond", "triangle-up", "x", "cross"];
  const made = [];

  // plotly takes some HTML in its texts for markup.
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const color = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const isDark = () => root.style.colorScheme ? root.style.colorScheme === "dark" : wantsDark.matches;

  function traces(chart, axis, dark) {
    return chart.lines.flatMap((line, i) => {
      const number = line.color ?? i;
      const own = COLORS[number % COLORS.length][dark ? 1 : 0];
      const name = plain(line.name);
      const x = line.x[axis];
      if (!x.some((at, j) => at !== null && line.y[j] !== null)) return [];  // not on this axis
      const few = line.y.length <= 60;
      const drawn = {
        x, y: line.y, name, legendgroup: name, type: "scatter", connectgaps: false,
        mode: few && !line.quiet ? "lines+markers" : "lines",
        line: {
          color: line.quiet ? color("--faint") : own, width: line.quiet ? 1.5 : 2,
          dash: line.quiet ? "dash" : DASHES[(number + Math.floor(number / 6)) % 6],
        },
        marker: { symbol: MARKS[number % 6], size: 6, color: own },
        hovertemplate: `%{y:.6g}<extra>${name}</extra>`,
      };
      if (!line.band) return [drawn];
      const edge = { x, legendgroup: name, showlegend: false, hoverinfo: "skip", mode: "lines",
                     line: { width: 0, color: own }, type: "scatter" };
      const high = line.y.map((y, j) => y + line.band[j]);
      const low = line.y.map((y, j) => y - line.band[j]);
      return [{ ...edge, y: low }, { ...edge, y: high, fill: "tonexty", fillcolor: own + "33" }, drawn];
    });
  }

  function layout(chart, state) {
    const ink = color("--ink"), grid = color("--line");
    const axis = (title, log) => ({
      title: { text: plain(title), standoff: 8 }, type: log ? "log" : "linear", gridcolor: grid,
      linecolor: grid, zerolinecolor: grid, exponentformat: "power", automargin: true,
      nticks: log ? 6 : 8,
    });
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: ink, family: getComputedStyle(document.body).fontFamily, size: 13 },
      margin: { l: 56, r: 12, t: 36, b: 44 },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: color("--faint"), activecolor: color("--accent") },
      xaxis: axis(state.axis, state.x === "log"), yaxis: axis(chart.y, state.y === "log"),
      hovermode: "x unified", hoverlabel: { bgcolor: color("--card"), font: { color: ink } },
      legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", x: 0, itemwidth: 44 },
      dragmode: coarse ? false : "zoom", uirevision: `${state.axis} ${state.x} ${state.y}`,
    };
  }

  function buttons(label, names, chosen, choose) {
    const group = document.createElement("div");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", label);
    const word = document.createElement("span");
    word.textContent = label;
    group.append(word);
    const all = names.map((name) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.dataset.group = label;
      button.setAttribute("aria-pressed", String(name === chosen));
      button.addEventListener("click", () => {
        all.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
        choose(name);
      });
      return button;
    });
    group.append(...all);
    return group;
  }

  function build(figure) {
    const chart = charts[Number(figure.dataset.chart)];
    const state = { axis: chart.axes[0], x: chart.log_x ? "log" : "linear",
                    y: chart.log_y ? "log" : "linear" };
    const bar = document.createElement("div");
    const plot = document.createElement("div");
    bar.className = "bar";
    plot.className = "plot";
    plot.style.setProperty("--lines", String(chart.lines.length));
    figure.append(bar, plot);
    const options = { responsive: true, displaylogo: false,
                      displayModeBar: coarse ? true : "hover",
                      plotlyServerURL: "",  // its own buttons include one that uploads the chart
                      modeBarButtons: [["toImage", "zoom2d", "pan2d"],
                                       ["zoomIn2d", "zoomOut2d", "autoScale2d", "resetScale2d"]],
                      toImageButtonOptions: { format: "svg" } };
    const draw = () => Plotly.react(plot, traces(chart, state.axis, isDark()),
                                    layout(chart, state), options);
    if (chart.axes.length > 1) {
      bar.append(buttons("against", chart.axes, state.axis, (name) => { state.axis = name; draw(); }));
    }
    bar.append(
      buttons("x scale", ["log", "linear"], state.x, (name) => { state.x = name; draw(); }),
      buttons("y scale", ["log", "linear"], state.y, (name) => { state.y = name; draw(); }),
    );
    made.push(draw);
    return draw();
  }

  const theme = document.getElementById("theme");
  function show() {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-pressed", String(isDark()));
    made.forEach((draw) => draw());
  }
  theme.addEventListener("click", () => {
    root.style.colorScheme = isDark() ? "light" : "dark";
    show();
  });
  wantsDark.addEventListener("change", show);

  for (const table of document.querySelectorAll("table")) {
    const cells = table.tBodies[0]?.rows[0]?.cells ?? [];
    [...table.rows[0].cells].forEach((head, i) => {
      const numeric = [...table.tBodies[0].rows].some((row) => row.cells[i].className === "number");
      if (numeric && i < cells.length) head.classList.add("number");
    });
  }
  for (const button of document.querySelectorAll("button.copy")) {
    button.addEventListener("click", () => {
      const range = document.createRange(), selection = getSelection();
      const table = button.parentElement.querySelector("table");
      range.setStartBefore(table.tHead);
      range.setEndAfter(table.tBodies[0]);
      selection.removeAllRanges();
      selection.addRange(range);
      button.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  theme.textContent = isDark() ? "Light" : "Dark";
  theme.setAttribute("aria-pressed", String(isDark()));
  Promise.all([...document.querySelectorAll("figure.chart")].map(build)).then(() => {
    root.dataset.drawn = "yes";
  });
})();
