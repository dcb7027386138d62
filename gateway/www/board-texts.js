/* The quote board's words, in the reader's language. */
import { language } from "./page.js";

const texts = {
  en: {
    title: "Quote board", board: "Board", status: "Status", docs: "API", pages: "Pages",
    search: "Search symbols", searchHint: "Press / to search, arrows and Enter to open, Esc to go back",
    columns: {
      symbol: "Symbol", last: "Last", bid: "Bid", ask: "Ask", change: "Change", percent: "%", age: "Age", state: "State",
    },
    hints: {
      change: "Since the previous close or the open, if the quote says one; else since the first price this page has seen",
      percent: "The same in percent", age: "Since the quote's own time",
    },
    since: {
      previous_close: "since the previous close, {0}", open: "since the open, {0}", seen: "since {0}, first seen at {1}",
    },
    middle: "middle of bid and ask",
    table: "Quotes", empty: "No quotes yet", none: "No symbol matches “{0}”",
    symbols: "{0} symbols", shown: "{0} of {1} symbols", rate: "{0}/s",
    states: { live: "live", stale: "stale", unknown: "unknown" },
    recorded: "recorded data", recordedHint: "These quotes are recorded and played back: not today's market",
    now: "now",
    phases: {
      connecting: "connecting…", connected: "connected, live", resuming: "resuming from position {0}…",
      waiting: "not connected", refused: "refused", closed: "closed",
      stale: "connected, but no fresh quotes arrive", empty: "connected, no quotes yet",
    },
    retry: "next try in {0} s",
    refusedTitle: "The gateway refuses this page: {0}", change: "What to change: {0}", setting: "Setting: {0}",
    failedTitle: "Not connected", refusals: {},
    lost: "Lost between feed {0} and the broker: {1} quotes", lostLog: "Lost from the log: {0} records",
    dismiss: "Dismiss", close: "Close", ranges: "Range", all: "all", day: "1 day", hour: "1 h", minutes: "5 min",
    chartOf: "{0}: chart and history", show: "Show as", chart: "Chart", history: "Table",
    loading: "Loading history…", noHistory: "No history in this range",
    partial: "The newest {0} records; the range holds more", gaps: "{0} positions are missing from the log",
    failed: "The history cannot be shown: {0}",
    noCharts: "This gateway was built without charts; make web adds them.",
    time: "Time", fields: "Last quote",
    attribution: "Charts: TradingView Lightweight Charts™, Copyright © 2026 TradingView, Inc.", license: "license",
  },
  es: {
    title: "Tablero de cotizaciones", board: "Tablero", status: "Estado", docs: "API", pages: "Páginas",
    search: "Buscar símbolos", searchHint: "/ para buscar, flechas y Entrar para abrir, Esc para volver",
    columns: {
      symbol: "Símbolo", last: "Último", bid: "Compra", ask: "Venta", change: "Cambio", percent: "%", age: "Edad",
      state: "Estado",
    },
    hints: {
      change: "Desde el cierre anterior o la apertura, si la cotización los trae; si no, desde el primer precio que vio " +
        "esta página",
      percent: "Lo mismo en porcentaje", age: "Desde la hora de la propia cotización",
    },
    since: {
      previous_close: "desde el cierre anterior, {0}", open: "desde la apertura, {0}",
      seen: "desde {0}, visto primero a las {1}",
    },
    middle: "punto medio entre compra y venta",
    table: "Cotizaciones", empty: "Todavía no hay cotizaciones", none: "Ningún símbolo coincide con «{0}»",
    symbols: "{0} símbolos", shown: "{0} de {1} símbolos", rate: "{0}/s",
    states: { live: "en vivo", stale: "atrasado", unknown: "desconocido" },
    recorded: "datos grabados", recordedHint: "Estas cotizaciones son grabadas y reproducidas: no son del mercado de hoy",
    now: "ahora",
    phases: {
      connecting: "conectando…", connected: "conectado, en vivo", resuming: "reanudando desde la posición {0}…",
      waiting: "sin conexión", refused: "rechazado", closed: "cerrado",
      stale: "conectado, pero no llegan cotizaciones nuevas", empty: "conectado, todavía sin cotizaciones",
    },
    retry: "nuevo intento en {0} s",
    refusedTitle: "El gateway rechaza esta página: {0}", change: "Qué cambiar: {0}", setting: "Ajuste: {0}",
    failedTitle: "Sin conexión",
    refusals: {
      no_such_path: "En esta ruta no hay ningún WebSocket. Revisa la URL y ROOT_PATH.",
      upgrade_required: "Llegó una petición sin Upgrade: el proxy debe reenviar Upgrade y Connection.",
      bad_version: "La versión del WebSocket no es la 13. Cambia el cliente.",
      malformed: "La petición de conexión está mal formada. Cambia el cliente.",
      no_common_subprotocol: "Ningún subprotocolo en común. Cambia el cliente.",
      origin_not_allowed: "Las páginas del origen {0} no pueden conectarse. Añade {0} a CORS_ORIGINS.",
      unauthorized: "Falta el token, o es otro: debe ser el de WEBSOCKET_TOKEN (?token=… en la dirección).",
      websocket_disabled: "Los WebSockets están desactivados: pon WEBSOCKET_ENABLED=1.",
      draining: "El gateway se está deteniendo; otro, o el mismo al volver, aceptará la conexión.",
      starting: "El gateway todavía no ha alcanzado a su broker. ¿Está en marcha, y son correctos BROKER_PUBLISH y " +
        "BROKER_CONTROL?",
      max_connections: "No quedan plazas: sube WEBSOCKET_MAX_CONNECTIONS (por gateway), o añade un gateway.",
    },
    lost: "Perdidas entre la fuente {0} y el broker: {1} cotizaciones", lostLog: "Perdidos del registro: {0}",
    dismiss: "Descartar", close: "Cerrar", ranges: "Intervalo", all: "todo", day: "1 día", hour: "1 h", minutes: "5 min",
    chartOf: "{0}: gráfico e historia", show: "Mostrar como", chart: "Gráfico", history: "Tabla",
    loading: "Cargando la historia…", noHistory: "No hay historia en este intervalo",
    partial: "Los {0} registros más nuevos; el intervalo tiene más", gaps: "Faltan {0} posiciones en el registro",
    failed: "No se puede mostrar la historia: {0}",
    noCharts: "Este gateway se compiló sin gráficos; make web los añade.",
    time: "Hora", fields: "Última cotización",
    attribution: "Gráficos: TradingView Lightweight Charts™, Copyright © 2026 TradingView, Inc.", license: "licencia",
  },
};

export default texts[language];
