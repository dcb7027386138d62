/* Not run: the types of pregon/react. */
import { useQuotes } from "pregon/react";

const { quotes, status } = useQuotes(["DAX", "USD*"], { url: "http://127.0.0.1:8000", maxHz: 5 });
console.log(quotes.DAX?.last?.padEnd(8), quotes.DAX?.state === "stale", status.phase);

// @ts-expect-error: the quote may be absent
console.log(quotes.DAX.last);
// @ts-expect-error: symbols are a list
useQuotes("DAX");
