// The broker's page. All values are written as text, never as markup. The page requests only its own origin.
"use strict";

const REFRESH_INTERVAL = 1000; // milliseconds
const OPERATOR_BUTTONS_INTERVAL = 10000;
const TIMEOUT = 5000;
const CLOSED = new Set(["canceled", "expired", "replaced", "done_for_day"]);
const NEW_YORK = { timeZone: "America/New_York", hour12: false };

const byId = (id) => document.getElementById(id);
const dollars = (text) => Number(text).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const price = (text) => (text === null ? "–" : Number(text).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 4 }));
const shares = (text) => (text === null ? "–" : Number(text).toLocaleString("en-US", { maximumFractionDigits: 6 }));
const time = (text, parts) => new Date(text).toLocaleString("en-US", { ...NEW_YORK, ...parts });
const clockTime = (text) => time(text, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

async function fetchJson(path, body) {
  const options = { signal: AbortSignal.timeout(body === undefined ? TIMEOUT : 4 * TIMEOUT) };
  if (body !== undefined) {
    Object.assign(options, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  }
  const response = await fetch(path, options);
  const payload = await response.json();
  if (!response.ok) throw new Error(payload.message ?? response.statusText);
  return payload;
}

function element(name, text = "", className = "") {
  const node = document.createElement(name);
  node.textContent = text;
  node.className = className;
  return node;
}

// --- tables: rows are reused by key, so that only changed rows are redrawn, and can be highlighted

function fill(id, rows, placeholder, { isFlashing = false } = {}) {
  const body = byId(id);
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const isFirst = body.rows.length === 0;
  const shown = rows.map(({ key, cells }) => {
    const row = known.get(key) ?? document.createElement("tr");
    const text = JSON.stringify(cells);
    if (row.dataset.text !== text) {
      row.replaceChildren(...cells.map(draw));
      Object.assign(row.dataset, { key, text });
      row.classList.remove("changed");
      if (isFlashing && !isFirst) requestAnimationFrame(() => row.classList.add("changed"));
    }
    return row;
  });
  if (shown.length === 0) {
    const cell = element("td", placeholder, "empty");
    cell.colSpan = 9;
    shown.push(document.createElement("tr"));
    shown[0].append(cell);
  }
  if (shown.length !== body.rows.length || shown.some((row, n) => body.rows[n] !== row)) body.replaceChildren(...shown);
}

function draw([text, className = "", share = null]) {
  const cell = element("td", share === null ? text : "", className);
  if (share !== null) {
    const bar = document.createElement("progress");
    Object.assign(bar, { max: 1, value: share, ariaLabel: text });
    cell.append(bar);
  }
  return cell;
}

const kind = (o) => [o.type === "market" ? "market" : price(o.limit_price), ...(o.time_in_force === "day" ? [] : [o.time_in_force])].join(" ");

function orderRow(o) {
  const [filled, whole] = [Number(o.filled_qty), Number(o.qty ?? o.filled_qty)];
  const share = whole > 0 ? filled / whole : 0;
  const tone = o.status === "filled" ? "good" : o.status === "rejected" ? "bad" : CLOSED.has(o.status) ? "closed" : "open";
  return {
    key: o.id,
    cells: [
      [clockTime(o.submitted_at ?? o.created_at), "wide"], [o.symbol, "symbol"], [o.side, o.side],
      [o.status.replaceAll("_", " "), tone], [shares(o.filled_qty), "number"], [shares(o.qty), "number wide"],
      [`${Math.round(100 * share)} % filled`, "wide", share],
      [kind(o), "number wide"], [price(o.filled_avg_price), "number"],
    ],
  };
}

function requestRow(r, n, all) {
  const bad = r.status === null || r.status >= 400;
  const query = r.client_order_id ? ` ${r.client_order_id}` : "";
  return {
    key: String(all.total - n),
    cells: [[`${r.method} ${r.path}${query}`], [r.fault ?? ""], [String(r.status ?? "…"), `number ${bad ? "bad" : "good"}`]],
  };
}

// --- the page

function show(state) {
  const { clock, account, requests } = state;
  byId("account-number").textContent = account.account_number;
  const next = time(clock.is_open ? clock.next_close : clock.next_open, { weekday: "short", hour: "2-digit", minute: "2-digit" });
  const session = clock.is_open ? `market open, closes ${next}` : `market closed, opens ${next}`;
  byId("session").textContent = `${clockTime(clock.timestamp)} New York · ${session}`;
  const figures = [["Equity", account.equity], ["Cash", account.cash], ["Buying power", account.buying_power], ["Market value", account.long_market_value]];
  byId("account").replaceChildren(...figures.flatMap(([name, value]) => [element("dt", name), element("dd", dollars(value))])
    .reduce((groups, node, n) => (n % 2 ? groups.at(-1).append(node) : groups.push(wrap(node)), groups), []));
  const open = state.orders.filter((o) => !["filled", "rejected"].includes(o.status) && !CLOSED.has(o.status)).length;
  byId("orders-count").textContent = state.orders.length ? `${open} open, ${state.orders.length - open} closed` : "";
  fill("orders", state.orders.map(orderRow), "No orders yet. They appear here while a plan runs.", { isFlashing: true });
  fill("positions", state.positions.map((p) => ({
    key: p.symbol,
    cells: [[p.symbol, "symbol"], [shares(p.qty), "number"], [shares(p.qty_available), "number wide"], [dollars(p.market_value), "number"]],
  })), "No positions.");
  fill("quotes", state.quotes.map((q) => ({
    key: q.symbol, cells: [[q.symbol, "symbol"], [price(q.bid), "number"], [price(q.ask), "number"]],
  })), "No quotes.");
  const minute = Object.entries(requests.minute).map(([name, m]) => `${name} ${m.used} of ${m.limit}`).join(", ");
  byId("requests-count").textContent = `${requests.total} in total; this minute: ${minute}`;
  fill("requests", requests.log.map((r, n) => requestRow(r, n, requests)), "No requests yet.");
  for (const preset of state.fault_presets) presetButton(preset).ariaPressed = String(preset.on);
}

function wrap(node) {
  const group = document.createElement("div");
  group.append(node);
  return group;
}

function showMessage(text, isProblem = false) {
  byId("message").textContent = text;
  byId("message").classList.toggle("problem", isProblem);
}

async function press(button, path, body, describe) {
  button.disabled = true;
  try {
    showMessage(describe(await fetchJson(path, body)));
  } catch (error) {
    showMessage(`Request failed: ${error.message}`, true);
  }
  button.disabled = false;
  await refresh();
}

function presetButton(preset) {
  const id = `fault-preset-${preset.name}`;
  if (byId(id)) return byId(id);
  const button = Object.assign(element("button", preset.title), { id, type: "button", title: preset.description });
  button.addEventListener("click", () => {
    const on = button.ariaPressed !== "true";
    press(button, "admin/fault_preset", { name: preset.name, on }, () => (on ? `${preset.title}: ${preset.description}.` : `${preset.title}: off.`));
  });
  byId("fault-presets").append(button);
  return button;
}

function showOperatorButton(state) {
  let button = [...byId("operator-buttons").children].find((child) => child.dataset.name === state.name);
  if (!button) {
    button = Object.assign(element("button", state.name, "operator"), { type: "button" });
    button.dataset.name = state.name;
    button.addEventListener("click", () => {
      const on = button.ariaPressed !== "true";
      press(button, "admin/operator_buttons", { name: state.name, on }, (result) => { showOperatorButton(result); return `${result.name}: ${result.text}`; });
    });
    byId("operator-buttons").append(button);
  }
  button.title = state.text;
  button.ariaPressed = state.on === null ? "mixed" : String(state.on);
  const active = [...byId("operator-buttons").children].filter((child) => child.ariaPressed === "true");
  byId("active-buttons").textContent = active.map((child) => `${child.dataset.name}: ${child.title}`).join(" · ");
}

byId("clear-faults").addEventListener("click", async () => {
  for (const button of byId("fault-presets").children) {
    if (button.ariaPressed === "true") await press(button, "admin/fault_preset", { name: button.id.slice("fault-preset-".length), on: false }, () => "All fault presets are off.");
  }
});

let lastUpdate = null;
let isRefreshing = false;

async function refresh() {
  if (isRefreshing) return;
  isRefreshing = true;
  const connection = byId("connection");
  try {
    show(await fetchJson("admin/page"));
    lastUpdate = new Date();
    connection.textContent = "live";
    connection.dataset.state = "live";
  } catch (error) {
    connection.textContent = lastUpdate ? `no response since ${lastUpdate.toLocaleTimeString()}` : `no response: ${error.message}`;
    connection.dataset.state = "lost";
  }
  document.querySelector("main").classList.toggle("lost", connection.dataset.state === "lost");
  isRefreshing = false;
}

async function refreshOperatorButtons() {
  try {
    for (const state of await fetchJson("admin/operator_buttons")) showOperatorButton(state);
  } catch { /* the page already shows a lost connection */ }
}

async function repeat(action, interval) {
  if (!document.hidden) await action();
  setTimeout(() => repeat(action, interval), interval);
}

repeat(refresh, REFRESH_INTERVAL);
repeat(refreshOperatorButtons, OPERATOR_BUTTONS_INTERVAL);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
