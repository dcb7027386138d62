/* A page on pregon/react, controlled by a test: window.show(symbols) changes what it follows. */
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { useQuotes } from "pregon/react";

const url = new URLSearchParams(location.search).get("url");
window.renders = 0;
window.sent = []; // requests of the clients
const { send } = WebSocket.prototype;
WebSocket.prototype.send = function (text) {
  sent.push(JSON.parse(text));
  return send.call(this, text);
};

function Price({ symbol }) {
  const { quotes } = useQuotes([symbol], { url });
  window.renders++;
  return <li id={symbol}>{symbol} {quotes[symbol]?.last ?? "none"} {quotes[symbol]?.state}</li>;
}

function App() {
  const [symbols, show] = useState(["A"]);
  const { quotes, status } = useQuotes(["B*"], { url });
  window.show = show;
  return <>
    <p id="phase">{status.phase}</p>
    <ul>{symbols.map((symbol) => <Price key={symbol} symbol={symbol} />)}</ul>
    <p id="b">{Object.values(quotes).map(({ symbol, last }) => `${symbol}=${last}`).join(" ")}</p>
  </>;
}

createRoot(document.getElementById("root")).render(<StrictMode><App /></StrictMode>);
