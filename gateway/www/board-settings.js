/*
 * board-settings.js: what a reader of the board has chosen and keeps in this browser: favourites, columns, density,
 * alerts. The address has what can be shared (board.js). Without storage it is kept while the page is open.
 */
const NAME = "pregon.board";
const MOST_FAVOURITES = 500, MOST_ALERTS = 200;
const SYMBOL = /^[A-Z0-9._:/=^-]{1,32}$/, PRICE = /^-?\d{1,30}(\.\d{1,30})?$/;

const isText = (value) => typeof value === "string";
const list = (value, isGood, most) => (Array.isArray(value) ? value.filter(isGood).slice(0, most) : []);

/* Storage is foreign data: another version or a person may have written it. */
function read() {
  let stored = null;
  try {
    stored = JSON.parse(localStorage.getItem(NAME));
  } catch {
    // none, or it is no JSON
  }
  const { favourites, columns, isCompact, isMuted, isOnly, alerts } = stored ?? {};
  return {
    favourites: [...new Set(list(favourites, (s) => isText(s) && SYMBOL.test(s), MOST_FAVOURITES))],
    columns: Array.isArray(columns) ? columns.filter(isText) : null, // null: those that fit
    isCompact: isCompact === true,
    isMuted: isMuted === true,
    isOnly: isOnly === true, // show only favourites
    alerts: list(alerts, (a) => isText(a?.symbol) && SYMBOL.test(a.symbol) && ["above", "below"].includes(a.when) &&
      isText(a.price) && PRICE.test(a.price), MOST_ALERTS).map(({ symbol, when, price }) => ({ symbol, when, price })),
  };
}

export const settings = read();

export const isPrice = (text) => PRICE.test(text);

export function save() {
  try {
    localStorage.setItem(NAME, JSON.stringify(settings));
  } catch {
    // no storage, or it is full
  }
}

/** Makes a symbol a favourite, as the last one, or none. */
export function toggleFavourite(symbol) {
  const at = settings.favourites.indexOf(symbol);
  if (at >= 0)
    settings.favourites.splice(at, 1);
  else if (settings.favourites.length < MOST_FAVOURITES)
    settings.favourites.push(symbol);
  save();
}

/** Moves a favourite before (-1) or after (1) its neighbour; `isShown(symbol)`: which neighbours count. */
export function moveFavourite(symbol, by, isShown) {
  const all = settings.favourites, from = all.indexOf(symbol);
  let to = from + by;
  while (all[to] !== undefined && !isShown(all[to]))
    to += by;
  if (from < 0 || all[to] === undefined)
    return;
  all.splice(from, 1);
  all.splice(to, 0, symbol);
  save();
}

/** Adds an alert; false: it exists, or there are too many. */
export function addAlert(symbol, when, price) {
  const { alerts } = settings;
  if (alerts.length >= MOST_ALERTS || alerts.some((a) => a.symbol === symbol && a.when === when && a.price === price))
    return false;
  alerts.push({ symbol, when, price });
  save();
  return true;
}

export function removeAlert(alert) {
  settings.alerts = settings.alerts.filter((a) => a !== alert);
  save();
}

/** Calls when another page of this browser has changed the settings. */
export function onChange(call) {
  addEventListener("storage", ({ key }) => {
    if (key !== NAME && key !== null)
      return;
    Object.assign(settings, read());
    call();
  });
}
