// The page: talks to the registry's API with a token, and to the instances as users of an account. Text is only ever put in as
// text, so what endpoints answer cannot do anything here.
"use strict";

const $ = (id) => document.getElementById(id);
const make = (tag, props = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), props);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
let token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";

function say(error) {
  const box = $("error");
  box.textContent = error.message ?? String(error);
  box.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { box.hidden = true; }, 6000);
}

async function api(method, path, body) {
  const headers = { Authorization: `Bearer ${token}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const reply = await fetch(`/v1${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const answer = reply.status === 204 ? null : await reply.json();
  if (!reply.ok) {
    const { message, field } = answer.error;
    throw Object.assign(new Error(field ? `${field}: ${message}` : message), { status: reply.status });
  }
  return answer;
}

// A form's work, or what is wrong with it.
const on = (id, event, work) => $(id).addEventListener(event, (happened) => {
  happened.preventDefault();
  Promise.resolve().then(() => work(happened)).catch(say);
});

// "account_id:42, user_id:7" as {"account_id": ["42"], "user_id": ["7"]}.
function keys(text) {
  const found = {};
  for (const part of text.split(",").map((part) => part.trim()).filter(Boolean)) {
    const colon = part.indexOf(":");
    if (colon < 1) throw new Error(`keys: ${part} is not name:value`);
    (found[part.slice(0, colon)] ??= []).push(part.slice(colon + 1));
  }
  return found;
}

// --- The pipeline -----------------------------------------------------------------------------------------------------

const users = [];
let listening = 0; // which crowd; an older one stops
let racing = false; // what is told does not count

function heard(user, result) {
  if (racing) return;
  user.box.classList.add("heard");
  if (result.task_id === undefined) { // somebody has published for the account
    user.output.textContent = JSON.stringify(result).slice(0, 60);
    return;
  }
  user.output.textContent = `job ${result.task_id} done`;
  user.result = result;
  const told = users.filter((other) => other.result?.task_id === result.task_id).length;
  $("verdict").textContent = `Job ${result.task_id} was done once, and ${told} of ${users.length} users have the result.`;
}

async function bySse(user, crowd) {
  const source = new EventSource(`${user.at}/events`);
  source.addEventListener("ready", () => user.ready());
  source.addEventListener("result", (event) => heard(user, JSON.parse(event.data)));
  while (crowd === listening) await sleep(200);
  source.close();
}

async function byWebSocket(user, crowd) {
  const socket = new WebSocket(`${user.at.replace("http", "ws")}/ws`);
  socket.onmessage = (event) => {
    const said = JSON.parse(event.data);
    if (said.ready) user.ready(); else heard(user, said);
  };
  while (crowd === listening) await sleep(200);
  socket.close();
}

async function byPoll(user, crowd) {
  let cursor = "";
  while (crowd === listening) {
    try {
      const polled = await (await fetch(`${user.at}/poll${cursor}`)).json();
      if (crowd !== listening) return;
      user.ready();
      cursor = `?cursor=${polled.cursor}`;
      polled.results.forEach((result) => heard(user, result));
    } catch {
      await sleep(1000);
    }
  }
}

const WAYS = [["SSE", bySse], ["WebSocket", byWebSocket], ["long poll", byPoll], ["SSE", bySse], ["WebSocket", byWebSocket]];

function gather(instances, account) {
  listening += 1;
  users.length = 0;
  $("users").replaceChildren();
  WAYS.forEach(([way, listen], n) => {
    const instance = instances[n % instances.length];
    const output = make("output", { textContent: "connecting…" });
    const box = make("div", { className: "user" }, make("b", { textContent: ["Ann", "Bob", "Cem", "Dua", "Eve"][n] }),
      make("small", { textContent: `${way} at :${new URL(instance).port}` }), output);
    const user = { instance, at: `${instance}/accounts/${encodeURIComponent(account)}`, box, output };
    user.ready = () => { if (!user.result) output.textContent = "listens"; };
    users.push(user);
    $("users").append(box);
    listen(user, listening);
  });
}

function clear() {
  for (const user of users) {
    user.box.className = "user";
    user.output.textContent = "waits";
    user.result = undefined;
  }
}

async function ask(user) {
  const body = JSON.stringify({ task: "report", ms: Number($("takes").value) });
  const reply = await fetch(`${user.at}/tasks`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  if (!reply.ok) throw new Error(await reply.text());
  return reply.json();
}

async function pipeline() {
  const about = await (await fetch("/about")).json();
  let account = $("account").value;
  gather(about.instances, account);
  on("job-form", "submit", async () => {
    if ($("account").value !== account) {
      account = $("account").value;
      gather(about.instances, account);
      await sleep(300);
    }
    clear();
    const asked = await Promise.all(users.map(ask));
    const started = asked.filter((one) => !one.joined).length;
    $("verdict").textContent = `${asked.length} asked; ${started} job started, ${asked.length - started} joined it.`;
  });
  on("race", "click", async () => {
    clear();
    racing = true;
    const { task_id: id } = await ask(users[0]);
    $("verdict").textContent = `All five call get(${id}), as with a task queue's result backend…`;
    const wait = Number($("takes").value) + 1500;
    const won = await Promise.all(users.map(async (user) => {
      const reply = await fetch(`${user.instance}/tasks/${id}/get?wait_ms=${wait}`);
      user.box.className = reply.ok ? "user heard" : "user missed";
      user.output.textContent = reply.ok ? "got it" : "got nothing";
      return reply.ok;
    }));
    racing = false;
    $("verdict").textContent = `get() gave the result to ${won.filter(Boolean).length} of ${won.length}: whoever took it first.`;
  });
  for (const kind of ["ok", "flaky", "slow", "busy", "fail", "gone"]) {
    const button = make("button", { type: "button", textContent: kind });
    button.onclick = () => { $("url").value = `${about.instances[0]}/sink/${kind}`; };
    $("sinks").append(button);
  }
}

// --- Endpoints ----------------------------------------------------------------------------------------------------------

const MOOD = { active: "good", delivered: "good", paused: "warn", unverified: "warn", pending: "warn", in_flight: "warn", disabled: "bad", dead: "bad" };
const tag = (state) => make("span", { className: `tag ${MOOD[state] ?? ""}`, textContent: state.replace("_", " ") });

function button(text, work) {
  const made = make("button", { type: "button", className: "quiet", textContent: text });
  made.onclick = () => Promise.resolve().then(work).catch(say);
  return made;
}

async function shownEndpoint(endpoint) {
  const { subscriptions } = await api("GET", `/endpoints/${endpoint.id}`);
  const wants = subscriptions.map((row) => `${row.name}:${row.value}`).join(", ") || "nothing";
  const { failures } = endpoint.health;
  const note = [`wants ${wants}`, failures ? `${failures} failed in a row` : null, endpoint.disabled?.why].filter(Boolean).join(" · ");
  const secret = make("code");
  const act = (what) => async () => { await api("POST", `/endpoints/${endpoint.id}/${what}`); await refresh(); };
  const active = endpoint.state === "active";
  return make("li", {},
    make("div", { className: "head" }, make("span", { className: "url", textContent: endpoint.url }), tag(endpoint.state)),
    make("div", { className: "note", textContent: note }),
    make("div", { className: "actions" },
      button("Ping", act("ping")),
      endpoint.state === "unverified" ? button("Challenge", act("challenge")) : button(active ? "Pause" : "Enable", act(active ? "pause" : "enable")),
      button("Recover", async () => {
        const { resent } = await api("POST", `/endpoints/${endpoint.id}/recover`, { since: 0 });
        $("published").textContent = `${resent} deliveries are on their way again.`;
      }),
      button("Secret", async () => { secret.textContent = (await api("GET", `/endpoints/${endpoint.id}/secret`)).secret ?? "not signed"; }),
      button("Remove", async () => { await api("DELETE", `/endpoints/${endpoint.id}`); await refresh(); })),
    secret);
}

const urls = new Map(); // of endpoints, by id

async function refresh() {
  const [{ items }, totals] = await Promise.all([api("GET", "/endpoints"), api("GET", "/stats")]);
  items.forEach((one) => urls.set(one.id, one.url));
  const shown = await Promise.all(items.reverse().map((one) => shownEndpoint(one).catch(() => null)));
  const rows = shown.filter(Boolean);
  $("endpoints").replaceChildren(...(rows.length ? rows : [make("li", { className: "empty", textContent: "None yet." })]));
  for (const [name, value] of Object.entries(totals)) {
    const place = document.querySelector(`[data-total="${name}"]`);
    if (place) place.textContent = value;
  }
}

// Many events, one look.
function soon() {
  soon.timer ??= setTimeout(() => { soon.timer = undefined; refresh().catch(say); }, 250);
}

// --- Deliveries ---------------------------------------------------------------------------------------------------------

const rows = new Map();

function delivery(id) {
  if (rows.has(id)) return rows.get(id);
  if (!rows.size) $("deliveries").replaceChildren();
  const row = { state: make("span"), url: make("span", { className: "url" }), note: make("span", { className: "note" }), inside: make("div") };
  const details = make("details", {}, make("summary", {}, make("div", { className: "head" }, row.url, row.note, row.state)), row.inside);
  details.ontoggle = () => { if (details.open) attempts(id, row).catch(say); };
  row.open = () => details.open;
  row.item = make("li", {}, details);
  rows.set(id, row);
  $("deliveries").prepend(row.item);
  if (rows.size > 60) {
    const [oldest, gone] = rows.entries().next().value;
    rows.delete(oldest);
    gone.item.remove();
  }
  return row;
}

async function attempts(id, row) {
  const path = `/deliveries/${encodeURIComponent(id)}`;
  const [{ items }, { state }] = await Promise.all([api("GET", `${path}/attempts`), api("GET", path)]);
  const cells = (tagName, texts) => make("tr", {}, ...texts.map((text) => make(tagName, { textContent: text })));
  const lines = items.map((one) => cells("td", [one.number, new Date(one.at).toLocaleTimeString(), `${one.took_ms.toFixed(1)} ms`,
    one.status ?? "–", one.error ?? "delivered", one.response.slice(0, 80)]));
  const table = make("table", { className: "attempts" }, cells("th", ["#", "at", "took", "status", "outcome", "answer"]), ...lines);
  const again = button("Send again", async () => { await api("POST", `${path}/resend`); row.state.replaceChildren(tag("pending")); soon(); });
  row.inside.replaceChildren(make("div", { className: "note" }, "Message ", make("code", { textContent: id.split("~")[0] })), table,
    ...(["delivered", "dead"].includes(state) ? [make("div", { className: "actions" }, again)] : []));
}

function happened(event) {
  soon();
  if (event.event === "accepted") {
    $("state").textContent = `Last published at ${new Date(event.at).toLocaleTimeString()}.`;
  }
  if (!event.delivery) return;
  const row = delivery(event.delivery);
  const state = { attempt: "pending", delivered: "delivered", dead: "dead" }[event.event];
  row.url.textContent = event.url;
  row.note.textContent = [event.type, `attempt ${event.attempt}`, event.error, event.next ? `again at ${new Date(event.next).toLocaleTimeString()}` : null]
    .filter(Boolean).join(" · ");
  row.state.replaceChildren(tag(state));
  if (row.open()) attempts(event.delivery, row).catch(say);
}

// EventSource cannot send a token, so the stream is read by hand.
async function watch() {
  for (;;) {
    try {
      const reply = await fetch("/v1/events", { headers: { Authorization: `Bearer ${token}` } });
      if (!reply.ok) throw new Error(`events: ${reply.status}`);
      $("state").textContent = "Live.";
      const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        for (const event of events) {
          const data = event.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
          if (data) happened(JSON.parse(data));
        }
      }
    } catch {
      $("state").textContent = "Lost the server. Trying again…";
    }
    await sleep(1000);
  }
}

// --- All of it ------------------------------------------------------------------------------------------------------------

async function enter() {
  try {
    await refresh();
  } catch (error) {
    if (error.status !== 401 && error.status !== 403) throw error;
    $("login").hidden = false;
    $("state").textContent = token ? "This token is not known." : "A token is needed.";
    return;
  }
  $("login").hidden = true;
  const { items } = await api("GET", "/deliveries?limit=50");
  for (const one of items) {
    const row = delivery(one.id);
    row.url.textContent = urls.get(one.endpoint) ?? one.endpoint;
    row.note.textContent = `attempt ${one.attempts}`;
    row.state.replaceChildren(tag(one.state));
  }
  watch();
}

on("login-form", "submit", async () => {
  token = $("token").value.trim();
  location.hash = `token=${token}`;
  await enter();
});
on("register-form", "submit", async () => {
  const body = { url: $("url").value, keys: keys($("register-keys").value), challenge: $("challenge").checked };
  await api("POST", "/endpoints", body);
  await refresh();
});
on("publish-form", "submit", async () => {
  let data;
  try {
    data = JSON.parse($("data").value);
  } catch (error) {
    throw new Error(`data: not JSON: ${error.message}`);
  }
  const { id, deliveries } = await api("POST", "/messages", { keys: keys($("publish-keys").value), type: $("kind").value, data });
  $("published").textContent = `${id}: ${deliveries} ${deliveries === 1 ? "delivery" : "deliveries"}.`;
});
pipeline().catch(say);
enter().catch(say);
