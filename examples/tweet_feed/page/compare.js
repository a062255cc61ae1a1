// Draws the memory of both servers over the number of their viewers, as the points come by Server-Sent Events.
"use strict";

const about = JSON.parse(document.body.dataset.about);
const chart = document.getElementById("chart");
const LEFT = 74, RIGHT = 640, TOP = 24, BOTTOM = 370;
const names = { green: "green threads", threads: "OS threads" };
const lines = about.servers.map(() => []); // of [viewers, bytes]
const rows = about.servers.map((server) => {
  const row = document.createElement("tr");
  for (let n = 0; n < 6; n++) row.append(document.createElement("td"));
  const link = document.createElement("a");
  link.href = `http://${server.addr}/`;
  link.textContent = names[server.mode];
  link.className = server.mode;
  row.cells[0].append(link);
  document.getElementById("rows").append(row);
  return row;
});
document.getElementById("machine").textContent = `On this machine: ${about.machine}.`;

function shape(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  chart.append(element);
}

// A round number at or above the most, and a step that divides it.
function scale(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  for (const [top, step] of [[1, 0.25], [2, 0.5], [3, 1], [5, 1], [8, 2]])
    if (most <= top * power) return [top * power, step * power];
  return [10 * power, 2 * power];
}

const whole = (n) => n.toLocaleString("en");
const mb = (bytes) => bytes / 1e6;
const inMb = (bytes) => (mb(bytes) < 20 ? mb(bytes).toFixed(1) : mb(bytes).toFixed(0)) + " MB";
const inKb = (bytes) => (bytes < 20000 ? (bytes / 1e3).toFixed(1) : (bytes / 1e3).toFixed(0)) + " kB";

function draw() {
  chart.replaceChildren();
  const most = Math.max(10, ...lines.flat().map(([, bytes]) => mb(bytes)));
  const [top, step] = scale(most);
  const x = (viewers) => LEFT + ((RIGHT - LEFT) * viewers) / about.viewers;
  const y = (value) => BOTTOM - ((BOTTOM - TOP) * value) / top;
  for (let value = 0; value <= top * 1.001; value += step) {
    shape("line", { x1: LEFT, x2: RIGHT, y1: y(value), y2: y(value) });
    shape("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, String(value));
  }
  for (let part = 0; part <= 4; part++) {
    const viewers = Math.round((about.viewers * part) / 4);
    shape("text", { x: x(viewers), y: BOTTOM + 20, "text-anchor": "middle" }, whole(viewers));
  }
  shape("text", { x: (LEFT + RIGHT) / 2, y: BOTTOM + 46, "text-anchor": "middle", class: "axis" }, "viewers of each server");
  shape("text", { transform: `translate(18 ${(TOP + BOTTOM) / 2}) rotate(-90)`, "text-anchor": "middle", class: "axis" },
    "memory of the server in MB (lower is better)");
  const ends = [];
  about.servers.forEach(({ mode }, at) => {
    const points = lines[at];
    if (points.length === 0) return;
    shape("polyline", { class: mode, points: points.map(([n, bytes]) => `${x(n)},${y(mb(bytes))}`).join(" ") });
    const [n, bytes] = points[points.length - 1];
    shape("circle", { class: mode, cx: x(n), cy: y(mb(bytes)), r: 4.5 });
    ends.push({ mode, x: x(n), y: y(mb(bytes)) });
  });
  // Names at the ends of the lines, the lower one below, so that they do not lie on each other at the beginning.
  ends.sort((a, b) => a.y - b.y);
  if (ends.length === 2 && ends[1].y - ends[0].y < 18) ends[0].y = ends[1].y - 18;
  for (const { mode, x, y } of ends) shape("text", { class: mode, x: x + 10, y: y + 4 }, names[mode]);
}

function take(point) {
  point.servers.forEach((server, at) => {
    const points = lines[at];
    const last = points[points.length - 1];
    // Viewers who have left and come back are no new place on the line.
    if (last && server.viewers <= last[0]) last[1] = server.bytes;
    else points.push([server.viewers, server.bytes]);
    const cells = rows[at].cells;
    const each = server.bytes_per_viewer;
    [whole(server.viewers), inMb(server.bytes), each === null ? "–" : inKb(each), whole(server.os_threads), whole(server.delivered)]
      .forEach((text, n) => { cells[n + 1].textContent = text; });
  });
  const [green, threads] = point.servers;
  const state = document.getElementById("state");
  if (green.viewers > 0 && threads.viewers > 0) {
    const times = (threads.bytes_per_viewer / Math.max(green.bytes_per_viewer, 1)).toFixed(1);
    const joined = Math.min(green.viewers, threads.viewers);
    state.textContent = `${whole(joined)} of ${whole(about.viewers)} viewers: ${inKb(green.bytes_per_viewer)} for each on green ` +
      `threads, ${inKb(threads.bytes_per_viewer)} on OS threads (${times} times as much)`;
  } else {
    state.textContent = "Both servers run; the first viewers join in a moment.";
  }
}

let due = false;
const source = new EventSource("/curve");
source.onopen = () => lines.forEach((points) => { points.length = 0; }); // all of it comes again
source.onmessage = (event) => {
  take(JSON.parse(event.data));
  if (!due) {
    due = true;
    requestAnimationFrame(() => { due = false; draw(); });
  }
};
source.onerror = () => { document.getElementById("state").textContent = "The comparison has ended."; };
