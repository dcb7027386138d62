/*
 * A program on pregon.js that a test tells what to do.  What it hears and what it is answered goes to
 * standard output, a JSON line each; standard input has a JSON array a line: a method and what it takes.
 * WS is where npm's ws is, for a Node without a WebSocket.
 *   usage: node follow.mjs URL OPTIONS
 */
import { createInterface } from "node:readline";
import { connect } from "../../consumer/js/pregon.js";

const say = (heard, what) => console.log(JSON.stringify([heard, what]));
const tell = (heard) => (what) => say(heard, what);
const [url, options] = process.argv.slice(2);

const client = connect(url, {
  onQuote: tell("quote"),
  onSnapshot: tell("snapshot"),
  onState: tell("state"),
  onLost: tell("lost"),
  onReset: tell("reset"),
  onStatus: tell("status"),
  onError: ({ code }) => say("error", code),
  ...(globalThis.WebSocket ? {} : { WebSocket: (await import(process.env.WS)).WebSocket }),
  ...JSON.parse(options),
});

const orders = createInterface({ input: process.stdin });
orders.on("line", async (line) => {
  const [method, ...its] = JSON.parse(line);
  try {
    say("answer", method === "position" ? client.position : ((await client[method](...its)) ?? null));
  } catch (error) {
    say("refusal", { name: error.name, code: error.code, message: error.message });
  }
});

/* Nothing but the client keeps this process; when it is closed, the process must end. */
function leave() {
  orders.close();
  process.stdin.destroy();
  client.close();
}
orders.on("close", leave);
process.once("SIGTERM", leave);
