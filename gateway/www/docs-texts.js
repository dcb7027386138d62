/* What the page /docs says, in the reader's language. */
import { language } from "./page.js";

const texts = {
  en: {
    title: "API", board: "Board", status: "Status", docs: "API", pages: "Pages",
    contents: "Routes", version: "version {0}", file: "openapi.json", english: "",
    filter: "Find a route", nothing: "No route has that in its path or text.",
    token: "Bearer token", tokenNote: "Sent with what you try here. Kept in this tab only.",
    parameters: "Parameters", required: "required", body: "Body", answers: "Answers",
    example: "Example", examples: { take: "take", renew: "renew" }, headers: "Headers",
    messages: "Messages", send: "A client says", receive: "The gateway says", closes: "Close codes",
    members: "Members", anyOther: "any other member", oneOf: "one of:", listOf: "list of", or: "or",
    tokens: "Tokens",
    defaultIs: "default {0}", from: "from {0}", upTo: "up to {0}", always: "always {0}",
    curl: "On the command line", copy: "Copy", copied: "Copied", notCopied: "Select it and copy by hand",
    try: "Try it", asking: "Asking…", answered: "{0} in {1} ms", empty: "(empty)", binary: "({0} bytes)",
    failed: "No answer: {0}. Is the gateway running?", missing: "Fill in {0} first.",
    notLoaded: "openapi.json cannot be read: {0}",
    stream: "Try the stream", url: "Address", symbols: "Symbols",
    mode: "Mode", merge: "merge: the newest values", all: "all: every record", encoding: "Encoding",
    maxHz: "At most, per second", connect: "Connect", disconnect: "Disconnect", clear: "Clear",
    message: "Message", sendIt: "Send", log: "Messages sent and received", pause: "Hold still",
    idle: "Not connected", connecting: "Connecting…", connected: "Connected: {0}",
    counts: "{0} messages, {1} a second", closed: "Closed: {0} {1}", closedBySelf: "Closed",
    badUrl: "That is no address of a WebSocket: {0}", badMessage: "That is not JSON: {0}",
    why: "Refused: {0} {1}. {2}", change: "What to change: {0}",
    accepts: "The gateway would accept this page, so something in between stops the WebSocket: " +
      "a proxy that does not forward Upgrade and Connection, or cuts the connection.",
    elsewhere: "The WebSocket failed. This page may ask only its own gateway why: open " +
      "/cotizaciones/websocket_check?origin={0} there.",
    sent: "sent", received: "received", note: "note",
  },
  es: {
    title: "API", board: "Tablero", status: "Estado", docs: "API", pages: "Páginas",
    contents: "Rutas", version: "versión {0}", file: "openapi.json",
    english: "Las descripciones salen de openapi.json y están en inglés.",
    filter: "Buscar una ruta", nothing: "Ninguna ruta tiene eso en su nombre o en su texto.",
    token: "Token (Bearer)", tokenNote: "Se envía con lo que pruebe aquí. Se guarda solo en esta pestaña.",
    parameters: "Parámetros", required: "obligatorio", body: "Cuerpo", answers: "Respuestas",
    example: "Ejemplo", examples: { take: "tomar", renew: "renovar" }, headers: "Cabeceras",
    messages: "Mensajes", send: "El cliente dice", receive: "El gateway dice", closes: "Códigos de cierre",
    members: "Miembros", anyOther: "cualquier otro miembro", oneOf: "uno de:", listOf: "lista de", or: "o",
    tokens: "Tokens",
    defaultIs: "por defecto {0}", from: "desde {0}", upTo: "hasta {0}", always: "siempre {0}",
    curl: "En la línea de órdenes", copy: "Copiar", copied: "Copiado", notCopied: "Selecciónelo y cópielo a mano",
    try: "Probar", asking: "Preguntando…", answered: "{0} en {1} ms", empty: "(vacío)", binary: "({0} bytes)",
    failed: "Sin respuesta: {0}. ¿Está en marcha el gateway?", missing: "Rellene antes {0}.",
    notLoaded: "No se puede leer openapi.json: {0}",
    stream: "Probar el flujo", url: "Dirección", symbols: "Símbolos",
    mode: "Modo", merge: "merge: los valores más nuevos", all: "all: todos los registros",
    encoding: "Codificación", maxHz: "Como mucho, por segundo", connect: "Conectar",
    disconnect: "Desconectar", clear: "Borrar", message: "Mensaje", sendIt: "Enviar",
    log: "Mensajes enviados y recibidos", pause: "Detener la lista",
    idle: "Sin conexión", connecting: "Conectando…", connected: "Conectado: {0}",
    counts: "{0} mensajes, {1} por segundo", closed: "Cerrado: {0} {1}", closedBySelf: "Cerrado",
    badUrl: "Eso no es la dirección de un WebSocket: {0}", badMessage: "Eso no es JSON: {0}",
    why: "Rechazado: {0} {1}. {2}", change: "Qué cambiar: {0}",
    accepts: "El gateway aceptaría esta página; algo en el camino impide el WebSocket: " +
      "un proxy que no reenvía Upgrade y Connection, o que corta la conexión.",
    elsewhere: "El WebSocket falló. Esta página solo puede preguntar el motivo a su propio gateway: abra allí " +
      "/cotizaciones/websocket_check?origin={0}.",
    sent: "enviado", received: "recibido", note: "nota",
  },
};

export default texts[language];
