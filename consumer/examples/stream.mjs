// Follow quotes, reconnect after every interruption, and resume at the last position.
// usage: node stream.mjs    (Node 22; Node 20 with --experimental-websocket)
import { connect } from "../js/pregon.js"; // a page imports "http://127.0.0.1:8000/www/pregon.js"

const quotes = new Map(); // symbol -> its newest quote

function show(q) {
  quotes.set(q.symbol, q);
  console.log(q.symbol, q.last ?? `${q.bid} / ${q.ask}`, q.state ?? "live");
}

connect("http://127.0.0.1:8000", {
  symbols: ["DAX", "USD*"],
  onQuote: show, // first the last values, then every new quote
  onState: ({ symbol, state }) => quotes.has(symbol) && show({ ...quotes.get(symbol), state }),
  onReset: () => quotes.clear(), // another log: all values are sent again
  onLost: (lost) => console.warn("lost:", lost),
  onStatus: ({ phase, text }) => console.log(`${phase}: ${text}`), // if refused: why, and what to change
});
