/*
 * A program on pregon.js under the control of a test.  It writes each event and answer as a JSON
 * line on standard output, and reads commands from standard input, a JSON array a line: a method
 * and its arguments. WS is the path of npm's ws, for a Node without a built-in WebSocket.
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
