// Time series: <div class="chart" data-chart="address" data-live-topic="topic"> is filled with uPlot.
// The address answers {"times": [seconds], "unit": "/s", "series": [{"label", "color": 1-6, "values", "fill"}]}.
(() => {
  "use strict";
  // canvases need colours that are resolved: a probe in the page does that, also for light-dark()
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const color = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const faint = (text) => text.replace(/^rgb\(([^)]+)\)$/, "rgba($1, 0.14)");
  const plain = (value, unit) => {
    if (value === null || value === undefined) return "–";
    const shown = Math.abs(value) >= 100 || Number.isInteger(value) ? value.toFixed(0) : Math.abs(value) >= 1 ? value.toFixed(1) : value.toFixed(value ? 2 : 0);
    return `${shown}${unit ? " " + unit : ""}`;
  };
  const HEIGHT = 224; // without the legend below
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const steps = [1, 5, 10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800, 2592000];
  const isLong = (times) => times.at(-1) - times[0] > 2 * 86400; // marks are days then
  const stepOf = (times) => times.slice(1).reduce((least, at, place) => Math.min(least, at - times[place]), Infinity);
  const clock = (at, times) => {
    const seconds = times.at(-1) - times[0] < 300 && stepOf(times) < 60 ? { second: "2-digit" } : {};
    const form = isLong(times)
      ? { month: "short", day: "numeric" }
      : { hour: "2-digit", minute: "2-digit", ...seconds, hourCycle: "h23" };
    return new Date(at * 1000).toLocaleString(undefined, form);
  };
  const options = (box, data, zoom) => ({
    width: box.clientWidth,
    height: HEIGHT,
    padding: [null, 22, null, null],
    cursor: { drag: { x: true, y: false, setScale: !zoom } },
    hooks: zoom ? { setSelect: [(plot) => zoom(plot)] } : {},
    scales: { y: { range: (_, low, high) => (data.tight ? uPlot.rangeNum(low, high, 0.1, true) : [Math.min(0, low), high > 0 ? high * 1.08 : 1]) } },
    axes: ["muted", "muted"].map((name, index) => ({
      stroke: color(name),
      grid: { stroke: color("line"), width: 1, show: index === 1 },
      ticks: { show: false },
      size: index ? 46 : 34,
      font: "12px system-ui, sans-serif",
      space: index ? 36 : 74,
      ...(index ? {} : { incrs: steps.filter((each) => each >= (isLong(data.times) ? 86400 : Math.min(stepOf(data.times), 86400))) }),
      values: (_, marks) => marks.map((mark) => (index ? (data.tight ? String(Number(mark.toFixed(6))) : plain(mark, "")) : clock(mark, data.times))),
    })),
    series: [
      { label: `Time (${zone})`, value: (_, at) => (at ? new Date(at * 1000).toLocaleString() : "–") },
      ...data.series.map((each) => ({
        label: each.label,
        stroke: color(`series-${each.color}`),
        fill: each.fill ? faint(color(`series-${each.color}`)) : undefined,
        width: 1.75,
        points: { show: data.times.length < 2 },
        paths: each.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
        value: (_, value) => plain(value, data.unit),
      })),
    ],
  });

  class Chart {
    constructor(box) {
      this.box = box;
      this.plot = null;
      this.message = box.querySelector(".message");
      this.span = null; // what somebody has dragged over
      this.zoom = "zoom" in box.dataset ? (plot) => this.zoomTo(plot) : null;
      if (this.zoom) box.addEventListener("dblclick", () => this.show(null));
      new ResizeObserver(() => this.fit()).observe(box);
      document.addEventListener("theme", () => this.draw());
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
      for (const topic of (box.dataset.liveTopic || "").split(" ").filter(Boolean)) {
        document.body.addEventListener(`live:${topic}`, () => this.load());
      }
      this.load();
    }

    zoomTo(plot) {
      const { left, width } = plot.select;
      if (width < 3) return;
      const [since, until] = [left, left + width].map((x) => new Date(plot.posToVal(x, "x") * 1000).toISOString());
      this.show({ since, until });
    }

    show(span) {
      this.span = span;
      this.plot?.destroy(); // scales and marks are those of another time
      this.plot = null;
      this.load();
    }

    address() {
      const url = new URL(this.box.dataset.chart, location.href);
      for (const [name, value] of Object.entries(this.span || {})) url.searchParams.set(name, value);
      return url;
    }

    async load() {
      if (this.busy || !this.box.isConnected) return;
      this.busy = true;
      try {
        const answer = await fetch(this.address(), { headers: { Accept: "application/json" } });
        if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
        const data = await answer.json();
        const same = this.data && this.data.series.map((each) => each.label).join() === data.series.map((each) => each.label).join();
        this.data = data;
        if (same && this.plot && data.times.length > 1) this.update();
        else this.draw();
      } catch {
        if (!this.plot) this.say("The figures cannot be loaded at the moment.");
      } finally {
        this.busy = false;
      }
    }

    columns() { return [this.data.times, ...this.data.series.map((each) => each.values)]; }

    update() {
      this.plot.setData(this.columns());
      this.showNewest();
    }

    // the legend tells of the newest moment as long as nobody points at another; uPlot draws, and empties it, a bit later
    showNewest() {
      queueMicrotask(() => {
        if (this.plot && (this.plot.cursor.idx ?? null) === null) this.plot.setLegend({ idx: this.data.times.length - 1 });
      });
    }

    fit() {
      if (!this.plot || this.plot.width === this.box.clientWidth) return;
      this.plot.setSize({ width: this.box.clientWidth, height: HEIGHT });
      this.showNewest();
    }

    say(text) {
      this.message.textContent = text;
      this.message.hidden = false;
    }

    draw() {
      if (!this.data) return;
      this.plot?.destroy();
      this.plot = null;
      if (!this.data.times.length) return this.say(this.data.empty || "Nothing has been recorded in this time.");
      this.message.hidden = true;
      this.plot = new uPlot(options(this.box, this.data, this.zoom), this.columns(), this.box);
      this.showNewest();
    }
  }

  const begin = (root) => {
    for (const box of root.querySelectorAll("[data-chart]")) {
      if (!box.chart) box.chart = new Chart(box);
    }
  };
  begin(document);
  document.body.addEventListener("htmx:afterSwap", (event) => begin(event.target.parentElement || document));
  document.documentElement.dataset.ready = ""; // the last of the scripts: whatever is clicked now is heard
})();
