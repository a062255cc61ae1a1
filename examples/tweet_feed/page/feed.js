// The page's behaviour. Posts come over EventSource (or, with ?transport=ws, a WebSocket) and are shown as text: every node is built with
// textContent, nothing from the network is ever parsed as HTML.
"use strict";

const $ = (id) => document.getElementById(id);
const KEEP = Math.min(200, Math.max(20, Number(document.documentElement.dataset.keep) || 50));
const SOURCE = document.documentElement.dataset.source;

// ---- Small builders ----------------------------------------------------------------------------

function el(tag, attrs, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs || {})) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function svg(tag, attrs, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attrs || {})) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A flower per handle: petals, colours and turn all come from one hash, so that it never changes.
function avatar(handle) {
  let h = 2166136261;
  for (const c of handle) h = Math.imul(h ^ c.codePointAt(0), 16777619);
  const bits = (n) => { h = Math.imul(h ^ (h >>> 15), 2246822507); h ^= h >>> 13; return (h >>> 0) % n; };
  const hue = bits(360), other = (hue + 40 + bits(120)) % 360, petals = 5 + bits(4), turn = bits(90);
  const long = 12.5 + bits(4), wide = 36 / petals + 1.2 + bits(20) / 10;
  const flower = svg("svg", { class: "avatar", viewBox: "0 0 46 46", "aria-hidden": "true" },
    svg("rect", { width: 46, height: 46, fill: `hsl(${other} 42% 82%)` }));
  for (let i = 0; i < petals; i++) {
    flower.append(svg("ellipse", {
      cx: 23, cy: 23 - long / 1.65, rx: wide, ry: long / 1.55,
      fill: `hsl(${hue} ${58 + bits(14)}% ${i % 2 ? 54 : 60}%)`, "fill-opacity": ".86",
      transform: `rotate(${turn + (i * 360) / petals} 23 23)`,
    }));
  }
  flower.append(svg("circle", { cx: 23, cy: 23, r: 4.6, fill: `hsl(${(other + 20) % 360} 78% 66%)` }),
    svg("circle", { cx: 23, cy: 23, r: 2, fill: `hsl(${other} 45% 36%)` }));
  return flower;
}

// ---- Text: links, tags and mentions out of plain text -------------------------------------------

const TOKEN = /(https?:\/\/[^\s<>"]+)|([#@])([\p{L}\p{N}_]+(?:@[\w.-]+\w)?)/gu;

function web(address) {
  try {
    const url = new URL(address);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch { return null; }
}

function linked(text, urls) {
  const out = document.createDocumentFragment();
  let done = 0;
  for (const match of text.matchAll(TOKEN)) {
    let [token, address, sign, word] = match;
    if (sign && /[\p{L}\p{N}_\/&]/u.test(text[match.index - 1] || "")) continue;
    if (address) token = address = address.replace(/[.,:;!?'”’)\]]+$/u, "");
    let node;
    if (address) {
      const known = urls.find((u) => u.url === address);
      const href = web(known ? known.expanded_url : address);
      if (!href) continue;
      node = el("a", { class: "link", href, rel: "noopener noreferrer nofollow", target: "_blank" },
        known ? known.display_url : address.replace(/^https?:\/\/(www\.)?/, ""));
    } else {
      // Tags and mentions filter this page: useful without any network.
      node = el("a", { href: "?q=" + encodeURIComponent(sign + word), "data-filter": sign + word }, sign + word);
    }
    out.append(text.slice(done, match.index), node);
    done = match.index + token.length;
  }
  out.append(text.slice(done));
  return out;
}

// ---- Time ---------------------------------------------------------------------------------------

function ago(ms) {
  const s = Math.round((Date.now() - ms) / 1000);
  if (s < 5) return "now";
  if (s < 60) return s + "s";
  if (s < 3600) return Math.floor(s / 60) + "m";
  if (s < 86400) return Math.floor(s / 3600) + "h";
  return new Date(ms).toLocaleDateString(undefined, { day: "numeric", month: "short", year: s > 3e7 ? "numeric" : undefined });
}

// ---- Posts --------------------------------------------------------------------------------------

const feed = $("feed");
const seen = new Set(); // ids on the page or waiting, so that a replay shows nothing twice
let waiting = [];       // posts that are held back, oldest first
let paused = false;
let frame = 0;

function card(post) {
  const user = post.user || {};
  const handle = String(user.handle || "someone"), name = String(user.full_name || handle);
  const at = Date.parse(post.date + "Z") || Date.now();
  const time = el("time", { datetime: new Date(at).toISOString(), title: new Date(at).toLocaleString() }, ago(at));
  time.dataset.at = at;
  const page = web(post.url || "");
  const when = page ? el("a", { class: "when", href: page, rel: "noopener noreferrer", target: "_blank" }, time)
    : el("span", { class: "when" }, time);
  const urls = (post.entities && Array.isArray(post.entities.urls)) ? post.entities.urls : [];
  const content = String(post.content || "");
  const text = el("p", { class: "text", dir: "auto" });
  text.append(linked(content, urls));
  const article = el("article", { class: "post", "aria-label": `${name}: ${content.slice(0, 80)}` }, avatar(handle),
    el("div", {},
      el("div", { class: "by" }, el("span", { class: "name" }, name), el("span", { class: "handle" }, "@" + handle), when),
      text));
  const item = el("li", { role: "none" }, el("div", { role: "none" }, article));
  item.dataset.key = key(post);
  item.haystack = `${content}\n${name}\n@${handle}`.toLowerCase();
  return item;
}

const key = (post) => `${post.source}/${post.id}`;

function arrive(post) {
  if (seen.has(key(post))) return;
  seen.add(key(post));
  waiting.push(post);
  while (waiting.length > KEEP) seen.delete(key(waiting.shift())); // would be pushed off the page at once anyway
  if (!frame) frame = requestAnimationFrame(flow);
}

const reading = () => window.scrollY > 320;

function flow() {
  frame = 0;
  if (paused || reading()) return held();
  show(waiting.length <= 3);
}

function show(gently) {
  const batch = waiting;
  waiting = [];
  for (const post of batch) {
    const item = card(post);
    if (gently && !document.hidden) {
      item.className = "new";
      item.addEventListener("animationend", () => item.classList.remove("new"), { once: true });
    }
    feed.prepend(item);
  }
  while (feed.children.length > KEEP) {
    seen.delete(feed.lastChild.dataset.key);
    feed.lastChild.remove();
  }
  filter();
  held();
}

// The server says when it had to skip something for us; so do we.
function gap(missed) {
  const item = el("li", { role: "none" }, el("p", { class: "gap" }, `${count(missed)} posts went by too fast`));
  item.haystack = "";
  feed.prepend(item);
}

function held() {
  const n = waiting.filter((post) => matches(hay(post))).length;
  $("held").hidden = n === 0;
  $("held").textContent = (n === KEEP ? n + "+" : n) + (n === 1 ? " new post" : " new posts");
}

const hay = (post) => `${post.content}\n${(post.user || {}).full_name}\n@${(post.user || {}).handle}`.toLowerCase();

$("held").addEventListener("click", () => {
  if (paused) pause(false);
  window.scrollTo({ top: 0 });
  show(false);
  feed.focus({ preventScroll: true });
});
window.addEventListener("scroll", () => { if (!paused && waiting.length && !reading()) show(true); }, { passive: true });
// Frames stop in a tab that nobody sees; catch up when it is looked at again.
document.addEventListener("visibilitychange", () => { if (!document.hidden && waiting.length && !frame) flow(); });

function pause(on) {
  paused = on;
  $("pause").setAttribute("aria-pressed", String(on));
  $("pause").lastElementChild.textContent = on ? "Resume" : "Pause";
  state();
  if (!on && waiting.length) show(waiting.length <= 3);
}
$("pause").addEventListener("click", () => pause(!paused));

setInterval(() => {
  for (const time of feed.querySelectorAll("time")) time.textContent = ago(Number(time.dataset.at));
}, 5000);

// ---- Filter -------------------------------------------------------------------------------------

const search = $("search");
let terms = [];
const matches = (text) => terms.every((term) => text.includes(term));

function filter() {
  let shown = 0;
  for (const item of feed.children) {
    item.hidden = !matches(item.haystack);
    shown += item.hidden ? 0 : 1;
  }
  $("matches").textContent = terms.length ? `${shown} of ${feed.children.length}` : "";
  const empty = feed.children.length === 0 ? "Waiting for the first post…" : "Nothing matches yet. New posts are checked as they come.";
  $("empty").textContent = empty;
  $("empty").hidden = shown > 0;
  highlight();
}

function highlight() {
  if (!globalThis.Highlight || !CSS.highlights) return;
  const ranges = [];
  for (const text of terms.length ? feed.querySelectorAll("li:not([hidden]) .text") : []) {
    const walk = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const low = walk.currentNode.data.toLowerCase();
      if (low.length !== walk.currentNode.data.length) continue; // rare letters change length; skip rather than miss
      for (const term of terms) {
        for (let at = low.indexOf(term); at >= 0; at = low.indexOf(term, at + term.length)) {
          const range = new Range();
          range.setStart(walk.currentNode, at);
          range.setEnd(walk.currentNode, at + term.length);
          ranges.push(range);
        }
      }
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}

function look(text) {
  search.value = text;
  terms = text.toLowerCase().split(/\s+/).filter(Boolean);
  const url = new URL(location.href);
  if (terms.length) url.searchParams.set("q", text); else url.searchParams.delete("q");
  history.replaceState(null, "", url);
  filter();
  held();
}
search.addEventListener("input", () => look(search.value));
search.form.addEventListener("submit", (event) => { event.preventDefault(); search.blur(); });
feed.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-filter]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  look(link.dataset.filter);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search && !event.ctrlKey && !event.metaKey) { event.preventDefault(); search.focus(); }
  if (event.key === "Escape" && document.activeElement === search) { look(""); search.blur(); }
});

// ---- Connection ---------------------------------------------------------------------------------

const SOCKET = new URL(location.href).searchParams.get("transport") === "ws";
const connection = { source: null, lastId: "", tries: 0, timer: 0, due: 0, name: "connecting" };

function connect() {
  clearTimeout(connection.timer);
  connection.due = 0;
  if (connection.source) connection.source.close();
  if (SOCKET) return connectSocket();
  const query = connection.lastId ? "?last_event_id=" + encodeURIComponent(connection.lastId) : "";
  const source = connection.source = new EventSource("/events" + query);
  source.addEventListener("open", () => { connection.tries = 0; state("live"); poll(); });
  source.addEventListener("post", (event) => {
    connection.lastId = event.lastEventId;
    try { arrive(JSON.parse(event.data)); } catch (error) { console.warn("not a post", error); }
  });
  source.addEventListener("lagged", (event) => gap(Number(JSON.parse(event.data).missed) || 0));
  source.addEventListener("error", () => lost(source));
}

// The same posts in tweefee's format: arrays, the newest first. It cannot replay; each new connection begins with
// the whole history, of which `seen` keeps what is here already.
function connectSocket() {
  const source = connection.source = new WebSocket(location.origin.replace(/^http/, "ws") + "/websocket");
  source.addEventListener("open", () => { connection.tries = 0; state("live"); poll(); });
  source.addEventListener("message", (event) => {
    try { JSON.parse(event.data).reverse().forEach(arrive); } catch (error) { console.warn("not posts", error); }
  });
  source.addEventListener("close", () => lost(source));
}

// The browser's own retry never slows down, so we close and come back by our own clock:
// half a second at first, half as long again each time, ten seconds at most, with some jitter.
function lost(source) {
  source.close();
  if (source !== connection.source) return;
  const wait = Math.min(10000, 500 * 1.5 ** connection.tries++) * (0.85 + Math.random() * 0.3);
  connection.due = Date.now() + wait;
  connection.timer = setTimeout(connect, wait);
  state("waiting");
}
window.addEventListener("online", connect);
setInterval(() => { if (connection.name === "waiting") state(); }, 500);

function state(name) {
  connection.name = name || connection.name;
  const left = Math.ceil((connection.due - Date.now()) / 1000);
  const words = { connecting: "Connecting", live: "Live", waiting: left > 1 ? `Reconnecting in ${left} s` : "Reconnecting" };
  const shown = paused && connection.name === "live" ? "paused" : connection.name;
  $("state").dataset.state = shown;
  const text = shown === "paused" ? "Paused" : words[connection.name];
  if ($("state").lastChild.textContent !== text) $("state").lastChild.textContent = text;
  // A screen reader hears of changes, not of every second of the countdown.
  if ($("said").dataset.of !== shown) {
    $("said").dataset.of = shown;
    $("said").textContent = text;
  }
}

// ---- The server's strip -------------------------------------------------------------------------

const POINTS = 61, EVERY = 1000; // a minute
const series = {};
let chosen = "posts_per_second", previous = null, pollTimer = 0;

const count = (n) => n < 10000 ? Math.round(n).toLocaleString("en") : n < 1e6 ? (n / 1000).toFixed(n < 1e5 ? 1 : 0) + "k" : (n / 1e6).toFixed(1) + "M";
const bytes = (n) => n < 1024 ? n + " B" : n < 1 << 20 ? (n / 1024).toFixed(1) + " KiB" : n < 1 << 30 ? (n / 1048576).toFixed(1) + " MiB" : (n / 1073741824).toFixed(2) + " GiB";
const format = {
  posts_per_second: (n) => n < 10 ? n.toFixed(1) : count(n),
  rss_bytes: bytes,
};
const show_value = (name, value) => (format[name] || count)(value);

async function poll() {
  clearTimeout(pollTimer);
  pollTimer = setTimeout(poll, EVERY);
  if (document.hidden) return;
  let stats;
  try {
    stats = await (await fetch("/stats", { cache: "no-store", signal: AbortSignal.timeout(4000) })).json();
  } catch { return; } // the stream's own state already tells
  const now = performance.now();
  stats.switches_per_second = previous && stats.switches_total >= previous.total
    ? (stats.switches_total - previous.total) / Math.max(0.1, (now - previous.at) / 1000) : 0;
  previous = { total: stats.switches_total, at: now };
  for (const tile of document.querySelectorAll("[data-series]")) {
    const name = tile.dataset.series, values = series[name] ||= [];
    values.push(Number(stats[name]) || 0);
    if (values.length > POINTS) values.shift();
    tile.firstElementChild.textContent = show_value(name, values.at(-1));
  }
  $("mode").textContent = `${stats.mode} · ${stats.workers} ${stats.workers === 1 ? "worker" : "workers"}`;
  const each = stats.connections >= 50 && stats.rss_per_connection_bytes > 0 ? `, ${bytes(stats.rss_per_connection_bytes)} each` : "";
  $("fine").textContent = `${stats.posts_total.toLocaleString("en")} posts so far · ${stats.connections.toLocaleString("en")} ${stats.connections === 1 ? "connection" : "connections"}${each} · over ${SOCKET ? "a WebSocket" : "Server-Sent Events"}`;
  draw();
}

function draw() {
  const values = series[chosen] || [];
  const name = document.querySelector(`[data-series="${chosen}"] span`).textContent;
  const high = Math.max(...values, chosen === "posts_per_second" ? 1 : 0), top = high * 1.15 || 1;
  // Memory hardly moves beside its own size; drawing it from zero would always give a flat line at the top.
  const low = chosen === "rss_bytes" && values.length ? Math.min(...values) * 0.98 : 0;
  const x = (i) => 300 - (values.length - 1 - i) * (300 / (POINTS - 1));
  const y = (v) => 82 - 80 * ((v - low) / Math.max(1e-9, top - low));
  let line = "";
  values.forEach((v, i) => {
    if (i === 0) { line = `M${x(0).toFixed(1)} ${y(v).toFixed(1)}`; return; }
    const mid = ((x(i - 1) + x(i)) / 2).toFixed(1);
    line += `C${mid} ${y(values[i - 1]).toFixed(1)} ${mid} ${y(v).toFixed(1)} ${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
  });
  $("chart").querySelector(".line").setAttribute("d", line);
  $("chart").querySelector(".area").setAttribute("d", values.length ? `${line}L300 83L${x(0).toFixed(1)} 83Z` : "");
  $("chart").setAttribute("aria-label", `${name} over the last minute`);
  $("chart-name").textContent = name + ", last minute";
  $("chart-top").textContent = values.length ? "peak " + show_value(chosen, high) : "";
}

const tiles = [...document.querySelectorAll("[data-series]")];
function choose(tile) {
  chosen = tile.dataset.series;
  for (const other of tiles) {
    other.setAttribute("aria-checked", String(other === tile));
    other.tabIndex = other === tile ? 0 : -1;
  }
  draw();
}
tiles.forEach((tile, i) => {
  tile.tabIndex = i ? -1 : 0;
  tile.addEventListener("click", () => choose(tile));
  tile.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = tiles[(i + step + tiles.length) % tiles.length];
    choose(next);
    next.focus();
  });
});

// ---- Start --------------------------------------------------------------------------------------

const names = { sim: "simulated", x: "X", mastodon: "Mastodon", bluesky: "Bluesky", file: "replay" };
$("source").textContent = names[SOURCE] || SOURCE;
$("source").dataset.source = SOURCE;
$("source").title = SOURCE === "sim" ? "These people and posts are made up by a simulator on this machine" : "Where the posts come from";
$("source").hidden = false;
look(new URL(location.href).searchParams.get("q") || "");
connect();
poll();
