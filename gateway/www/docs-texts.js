/* Texts of the page /docs, in the reader's language. */
import { language } from "./page.js";

const texts = {
  en: {
    title: "API", board: "Board", status: "Status", docs: "API", pages: "Pages",
    contents: "Routes", version: "version {0}", file: "openapi.json", english: "",
    filter: "Find a route", nothing: "No route matches.",
    token: "Bearer token", tokenNote: "Sent with the requests that you try here. Kept in this tab only.",
    parameters: "Parameters", required: "required", body: "Body", answers: "Answers",
    example: "Example", examples: { take: "take", renew: "renew" }, headers: "Headers",
    messages: "Messages", send: "A client sends", receive: "The gateway sends", closes: "Close codes",
    members: "Members", anyOther: "any other member", oneOf: "one of:", listOf: "list of", or: "or",
    tokens: "Tokens",
    defaultIs: "default {0}", from: "from {0}", upTo: "up to {0}", always: "always {0}",
    curl: "On the command line", copy: "Copy", copied: "Copied", notCopied: "Select it and copy by hand",
    try: "Try it", asking: "Waiting…", answered: "{0} in {1} ms", empty: "(empty)", binary: "({0} bytes)",
    failed: "No answer: {0}. Is the gateway running?", missing: "Fill in {0} first.",
    notLoaded: "openapi.json cannot be read: {0}",
    stream: "Try the stream", url: "Address", symbols: "Symbols",
    mode: "Mode", merge: "merge: the newest values", all: "all: every record", encoding: "Encoding",
    maxHz: "At most, per second", connect: "Connect", disconnect: "Disconnect", clear: "Clear",
    message: "Message", sendIt: "Send", log: "Messages sent and received", pause: "Pause",
    idle: "Not connected", connecting: "Connecting…", connected: "Connected: {0}",
    counts: "{0} messages, {1} a second", closed: "Closed: {0} {1}", closedBySelf: "Closed",
    badUrl: "This is not the address of a WebSocket: {0}", badMessage: "This is not JSON: {0}",
    why: "Refused: {0} {1}. {2}", change: "What to change: {0}",
    accepts: "The gateway would accept this page, so something between stops the WebSocket: " +
      "a proxy that does not forward Upgrade and Connection, or cuts the connection.",
    elsewhere: "The WebSocket failed. This page can ask only its own gateway for the reason: open " +
      "/cotizaciones/websocket_check?origin={0} there.",
    sent: "sent", received: "received", note: "note",
  },
  es: {
    title: "API", board: "Tablero", status: "Estado", docs: "API", pages: "Páginas",
    contents: "Rutas", version: "versión {0}", file: "openapi.json",
    english: "Las descripciones salen de openapi.json y están en inglés.",
    filter: "Buscar una ruta", nothing: "Ninguna ruta coincide.",
    token: "Token (Bearer)", tokenNote: "Se envía con las peticiones que pruebas aquí. Se guarda solo en esta pestaña.",
    parameters: "Parámetros", required: "obligatorio", body: "Cuerpo", answers: "Respuestas",
    example: "Ejemplo", examples: { take: "tomar", renew: "renovar" }, headers: "Cabeceras",
    messages: "Mensajes", send: "El cliente envía", receive: "El gateway envía", closes: "Códigos de cierre",
    members: "Miembros", anyOther: "cualquier otro miembro", oneOf: "uno de:", listOf: "lista de", or: "o",
    tokens: "Tokens",
    defaultIs: "por defecto {0}", from: "desde {0}", upTo: "hasta {0}", always: "siempre {0}",
    curl: "En la línea de comandos", copy: "Copiar", copied: "Copiado", notCopied: "Selecciónalo y cópialo a mano",
    try: "Probar", asking: "Esperando…", answered: "{0} en {1} ms", empty: "(vacío)", binary: "({0} bytes)",
    failed: "Sin respuesta: {0}. ¿Está corriendo el gateway?", missing: "Completa antes {0}.",
    notLoaded: "No se puede leer openapi.json: {0}",
    stream: "Probar el stream", url: "Dirección", symbols: "Símbolos",
    mode: "Modo", merge: "merge: los valores más nuevos", all: "all: todos los registros",
    encoding: "Codificación", maxHz: "Como mucho, por segundo", connect: "Conectar",
    disconnect: "Desconectar", clear: "Borrar", message: "Mensaje", sendIt: "Enviar",
    log: "Mensajes enviados y recibidos", pause: "Pausar",
    idle: "Sin conexión", connecting: "Conectando…", connected: "Conectado: {0}",
    counts: "{0} mensajes, {1} por segundo", closed: "Cerrado: {0} {1}", closedBySelf: "Cerrado",
    badUrl: "Esta no es la dirección de un WebSocket: {0}", badMessage: "Esto no es JSON: {0}",
    why: "Rechazado: {0} {1}. {2}", change: "Qué cambiar: {0}",
    accepts: "El gateway aceptaría esta página; algo en el camino impide el WebSocket: " +
      "un proxy que no reenvía Upgrade y Connection, o que corta la conexión.",
    elsewhere: "El WebSocket falló. Esta página solo puede preguntar el motivo a su propio gateway: abre allí " +
      "/cotizaciones/websocket_check?origin={0}.",
    sent: "enviado", received: "recibido", note: "nota",
  },
};

export default texts[language];
