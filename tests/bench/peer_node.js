// The same broadcast on node's ws: run by bench.py.   node peer_node.js PORT
const { WebSocketServer } = require("ws");
const readline = require("readline");

const subscribers = new Map(); // symbol, or *: set of clients
const server = new WebSocketServer({ port: +process.argv[2], host: "127.0.0.1", perMessageDeflate: false, backlog: 4096 },
  () => console.log("ready"));

server.on("connection", (ws, request) => {
  const names = new URL(request.url, "http://localhost").searchParams.get("symbols").split(",");
  for (const name of names) {
    if (!subscribers.has(name)) subscribers.set(name, new Set());
    subscribers.get(name).add(ws);
  }
  ws.on("error", () => {});
  ws.on("close", () => names.forEach((name) => subscribers.get(name).delete(ws)));
});

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => {
  for (const name of [JSON.parse(line).symbol, "*"])
    for (const ws of subscribers.get(name) ?? []) ws.send(line);
});
lines.on("close", () => process.exit(0));
