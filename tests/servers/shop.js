// A server of the call in JavaScript, written from its documentation alone: `node shop.js http` or `node shop.js express`.
"use strict";
const fs = require("fs");
const http = require("http");
const path = require("path");

const example = JSON.parse(fs.readFileSync(path.join(__dirname, "../../schemas/examples/response.json")));
const WAREHOUSES = [1784], SELLABLES = [1226615, 1226616], PHYSICAL = 1000000;
const orders = new Map(), reserved = new Map();
let lastId = 1000;

const isId = (value) => Number.isSafeInteger(value) && value > 0;
const clone = (value) => JSON.parse(JSON.stringify(value));

function sellable(id) {
  const shown = clone(example.line_items[0].sellable), units = reserved.get(id) || 0;
  const levels = { allocated: units, available: PHYSICAL - units };
  for (const [name, level] of Object.entries(levels)) {
    shown[`${name}_stock_level_at_all_warehouses`] = level;
    shown.inventory[`${name}_stock_level_at_all_warehouses`] = level;
    shown.stock_entries[0][`${name}_stock_level`] = level;
  }
  shown.stock_level_at_all_warehouses = PHYSICAL;
  shown.inventory.physical_stock_level_at_all_warehouses = PHYSICAL;
  Object.assign(shown.stock_entries[0], { physical_stock_level: PHYSICAL, sellable_id: id });
  return { ...shown, id };
}

function order(id) {
  const held = orders.get(id), shown = clone(example), [line] = shown.line_items, [allocation] = shown.allocations;
  const totals = new Map();
  shown.allocations = held.map((entry) => ({
    ...allocation, id: entry.id, order_id: id,
    line_items: entry.lines.map(({ sellable_id, quantity }, index) => {
      totals.set(sellable_id, (totals.get(sellable_id) || 0) + quantity);
      return { ...allocation.line_items[0], id: entry.id * 10 + index, quantity, sellable: sellable(sellable_id) };
    }),
  }));
  shown.line_items = [...totals].map(([key, quantity], index) => ({
    ...line, id: id * 10 + index, quantity, sellable: sellable(key),
  }));
  const units = [...totals.values()].reduce((sum, quantity) => sum + quantity, 0);
  shown.subtotal_price = shown.total_price = Math.round(units * line.price_per_unit * 100) / 100;
  shown.payment.order_id = id;
  return { ...shown, id, number: `#P-${id}` };
}

function parse(body) {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body));
  } catch (error) {
    return undefined;
  }
}

function allocate(id, headers, body) {
  if (headers["x-api-key"] !== process.env.SHOP_KEY) return [401];
  if (!/^[1-9][0-9]*$/.test(id) || !isId(Number(id))) return [404];
  const type = (headers["content-type"] || "").split(";")[0].trim().toLowerCase();
  if (type !== "application/json") return [415];
  const value = parse(body);
  if (value === undefined) return [400];
  const wanted = value && !Array.isArray(value) ? value.allocation : null;
  const lines = wanted && Array.isArray(wanted.line_items_attributes) ? wanted.line_items_attributes : [];
  const isRight = (line) => line && isId(line.sellable_id) && isId(line.quantity) && SELLABLES.includes(line.sellable_id);
  if (!lines.length || !lines.every(isRight) || !WAREHOUSES.includes(wanted.warehouse_id)) return [422];
  if (new Set(lines.map((line) => line.sellable_id)).size < lines.length) return [422];
  const number = Number(id);
  orders.set(number, [...(orders.get(number) || []), { id: ++lastId, lines }]);
  for (const line of lines) reserved.set(line.sellable_id, (reserved.get(line.sellable_id) || 0) + line.quantity);
  return [201, order(number)];
}

function answer(response, [status, shown]) {
  const headers = { "Content-Type": "application/json" };
  if (status === 201) headers.Location = `/orders/${shown.id}`;
  response.writeHead(status, headers);
  response.end(JSON.stringify(shown || { error_messages: "no" }));
}

function withHttp() {
  return http.createServer((request, response) => {
    const chunks = [], match = /^\/orders\/([^/]+)\/allocations$/.exec(request.url);
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      if (!match) answer(response, [404]);
      else if (request.method !== "POST") answer(response, [405]);
      else answer(response, allocate(match[1], request.headers, Buffer.concat(chunks)));
    });
  });
}

function withExpress() {
  const express = require("express"), app = express();
  app.post("/orders/:id/allocations", express.raw({ type: () => true, limit: "10mb" }), (request, response) => {
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    answer(response, allocate(request.params.id, request.headers, body));
  });
  app.all("/orders/:id/allocations", (request, response) => answer(response, [405]));
  app.use((error, request, response, next) => answer(response, [error.status || 500]));
  return app;
}

try {
  const server = process.argv[2] === "express" ? http.createServer(withExpress()) : withHttp();
  server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
} catch (error) {
  console.log(error.code === "MODULE_NOT_FOUND" ? "express is not installed" : error.message);
}
