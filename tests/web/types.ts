/* Not run: the compiler must accept correct calls and reject wrong ones. */
import { connect, publish, PregonError, type Position, type Published, type Quote, type Status } from "pregon";

const since: Position | null = null;
const client = connect("ws://127.0.0.1:8000", {
  symbols: ["DAX"], mode: "all", encoding: "msgpack", since, token: "t", maxHz: 5, trace: true,
  onQuote: (quote) => console.log(quote.symbol, quote.bid?.padEnd(8), quote.timestamp + 1),
  onState: ({ state }) => console.log(state === "stale"),
  onLost: ({ feed, first, last }) => console.log(feed, last - first),
  onStatus: (status: Status) => console.log(status.phase, status.refusal?.hint),
  onError: (error: PregonError) => console.log(error.code),
});
const page: Promise<{ records: unknown[] }> = client.history("DAX", { limit: 5 });
client.ask("ping").then((ack) => ack.seq + 1, () => page);
client.subscribe(["A"]).then((ack) => ack?.rejected);
const seq: number | undefined = client.position?.seq;

client.publish({ symbol: "X", last: 1.5 }, { token: "t", key: "k" }).then(({ positions }) => positions[0] + 1);
const published: Promise<Published> = publish("/", [{ symbol: "X", bid: "1" }], { feed: "web", stored: true });
published.then(({ quotes }) => quotes[0].seq?.toFixed());

// @ts-expect-error: a quote has a symbol
client.publish({ last: "1" });
// @ts-expect-error: prices are text
const price: number | undefined = ({} as Quote).bid;
// @ts-expect-error: there is no such mode
connect("ws://127.0.0.1", { mode: "both", since: seq ? null : undefined });
// @ts-expect-error: a position is read only
client.position = price ? null : null;
