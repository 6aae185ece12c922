// The page to watch. Everything is written as text, never as markup; the only address it asks is its own.
"use strict";

const EVERY = 1000; // milliseconds between two looks
const LEVERS_EVERY = 10000;
const PATIENCE = 5000;
const DONE = new Set(["canceled", "expired", "replaced", "done_for_day"]);
const NEW_YORK = { timeZone: "America/New_York", hour12: false };

const at = (id) => document.getElementById(id);
const dollars = (text) => Number(text).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const price = (text) => (text === null ? "–" : Number(text).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 4 }));
const shares = (text) => (text === null ? "–" : Number(text).toLocaleString("en-US", { maximumFractionDigits: 6 }));
const time = (text, parts) => new Date(text).toLocaleString("en-US", { ...NEW_YORK, ...parts });
const clockTime = (text) => time(text, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

async function ask(path, body) {
  const options = { signal: AbortSignal.timeout(body === undefined ? PATIENCE : 4 * PATIENCE) };
  if (body !== undefined) {
    Object.assign(options, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  }
  const answer = await fetch(path, options);
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.message ?? answer.statusText);
  return told;
}

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

// --- tables: rows are kept by their key, so that only what changed is drawn, and can be shown to have changed

function fill(id, rows, empty, { isFlashing = false } = {}) {
  const body = at(id);
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
    const cell = element("td", empty, "empty");
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

function order(o) {
  const [filled, whole] = [Number(o.filled_qty), Number(o.qty ?? o.filled_qty)];
  const share = whole > 0 ? filled / whole : 0;
  const tone = o.status === "filled" ? "good" : o.status === "rejected" ? "bad" : DONE.has(o.status) ? "over" : "open";
  return {
    key: o.id,
    cells: [
      [clockTime(o.submitted_at ?? o.created_at), "wide"], [o.symbol, "symbol"], [o.side, o.side],
      [o.status.replaceAll("_", " "), tone], [shares(o.filled_qty), "number"], [shares(o.qty), "number wide"],
      [`${Math.round(100 * share)} % filled`, "wide", share],
      [o.type === "market" ? "market" : price(o.limit_price), "number wide"], [price(o.filled_avg_price), "number"],
    ],
  };
}

function request(r, n, all) {
  const bad = r.status === null || r.status >= 400;
  const query = r.client_order_id ? ` ${r.client_order_id}` : "";
  return {
    key: String(all.total - n),
    cells: [[`${r.method} ${r.path}${query}`], [r.fault ?? ""], [String(r.status ?? "…"), `number ${bad ? "bad" : "good"}`]],
  };
}

// --- the page

function show(told) {
  const { clock, account, requests } = told;
  at("number").textContent = account.account_number;
  const next = time(clock.is_open ? clock.next_close : clock.next_open, { weekday: "short", hour: "2-digit", minute: "2-digit" });
  const session = clock.is_open ? `market open, closes ${next}` : `market closed, opens ${next}`;
  at("session").textContent = `${clockTime(clock.timestamp)} New York · ${session}`;
  const figures = [["Equity", account.equity], ["Cash", account.cash], ["Buying power", account.buying_power], ["In shares", account.long_market_value]];
  at("account").replaceChildren(...figures.flatMap(([name, value]) => [element("dt", name), element("dd", dollars(value))])
    .reduce((groups, node, n) => (n % 2 ? groups.at(-1).append(node) : groups.push(wrap(node)), groups), []));
  const open = told.orders.filter((o) => !["filled", "rejected"].includes(o.status) && !DONE.has(o.status)).length;
  at("orders-count").textContent = told.orders.length ? `${open} open, ${told.orders.length - open} done` : "";
  fill("orders", told.orders.map(order), "No orders yet. Run a plan, and watch.", { isFlashing: true });
  fill("positions", told.positions.map((p) => ({
    key: p.symbol,
    cells: [[p.symbol, "symbol"], [shares(p.qty), "number"], [shares(p.qty_available), "number wide"], [dollars(p.market_value), "number"]],
  })), "No shares are held.");
  fill("quotes", told.quotes.map((q) => ({
    key: q.symbol, cells: [[q.symbol, "symbol"], [price(q.bid), "number"], [price(q.ask), "number"]],
  })), "No quotes.");
  const minute = Object.entries(requests.minute).map(([name, m]) => `${name} ${m.used} of ${m.limit}`).join(", ");
  at("requests-count").textContent = `${requests.total} in all; this minute: ${minute}`;
  fill("requests", requests.log.map((r, n) => request(r, n, requests)), "Nobody has asked anything yet.");
  for (const drill of told.drills) drillButton(drill).ariaPressed = String(drill.on);
}

function wrap(node) {
  const group = document.createElement("div");
  group.append(node);
  return group;
}

function tell(text, isProblem = false) {
  at("told").textContent = text;
  at("told").classList.toggle("problem", isProblem);
}

async function press(button, path, body, said) {
  button.disabled = true;
  try {
    tell(said(await ask(path, body)));
  } catch (error) {
    tell(`That did not work: ${error.message}`, true);
  }
  button.disabled = false;
  await look();
}

function drillButton(drill) {
  const id = `drill-${drill.key}`;
  if (at(id)) return at(id);
  const button = Object.assign(element("button", drill.title), { id, type: "button", title: drill.meaning });
  button.addEventListener("click", () => {
    const on = button.ariaPressed !== "true";
    press(button, "admin/drill", { name: drill.key, on }, () => (on ? `${drill.title}: ${drill.meaning}.` : `${drill.title} is over.`));
  });
  at("drills").append(button);
  return button;
}

function showLever(lever) {
  let button = [...at("levers").children].find((child) => child.dataset.name === lever.name);
  if (!button) {
    button = Object.assign(element("button", lever.name, "lever"), { type: "button" });
    button.dataset.name = lever.name;
    button.addEventListener("click", () => {
      const on = button.ariaPressed !== "true";
      press(button, "admin/levers", { name: lever.name, on }, (told) => { showLever(told); return `${told.name}: ${told.text}`; });
    });
    at("levers").append(button);
  }
  button.title = lever.text;
  button.ariaPressed = lever.on === null ? "mixed" : String(lever.on);
  const pulled = [...at("levers").children].filter((child) => child.ariaPressed === "true");
  at("pulled").textContent = pulled.map((child) => `${child.dataset.name}: ${child.title}`).join(" · ");
}

at("calm").addEventListener("click", async () => {
  for (const button of at("drills").children) {
    if (button.ariaPressed === "true") await press(button, "admin/drill", { name: button.id.slice("drill-".length), on: false }, () => "All is well.");
  }
});

let lastSeen = null;
let looking = false;

async function look() {
  if (looking) return;
  looking = true;
  try {
    show(await ask("admin/page"));
    lastSeen = new Date();
    at("pulse").textContent = "live";
    at("pulse").dataset.state = "live";
  } catch (error) {
    at("pulse").textContent = lastSeen ? `no answer since ${lastSeen.toLocaleTimeString()}` : `no answer: ${error.message}`;
    at("pulse").dataset.state = "lost";
  }
  document.querySelector("main").classList.toggle("lost", at("pulse").dataset.state === "lost");
  looking = false;
}

async function lookAtLevers() {
  try {
    for (const lever of await ask("admin/levers")) showLever(lever);
  } catch { /* the page's own pulse tells */ }
}

async function repeat(action, every) {
  if (!document.hidden) await action();
  setTimeout(() => repeat(action, every), every);
}

repeat(look, EVERY);
repeat(lookAtLevers, LEVERS_EVERY);
document.addEventListener("visibilitychange", () => document.hidden || look());
