#include "doctor/doctor_text.h"
#include "gateway/policy/cors_text.h"

/*
 * Every text of the doctor, as it is in the code, with its Spanish text.  A test compares the table
 * with the sources.
 */
/* clang-format off */
static const struct language_text texts[] = {
    /* words around findings */
    {"the default (%s)", "el valor por defecto (%s)"},
    {"the environment (%s)", "el entorno (%s)"},
    {"errors", "errores"},
    {"warning", "advertencia"},
    {"warnings", "advertencias"},
    {"note", "nota"},
    {"notes", "notas"},
    {"admits ", "acepta "},
    {"refuses", "rechaza"},
    {"programs, which send no Origin", "programas, que no envían Origin"},
    {"without a reason", "sin motivo"},
    {", which is not as it should be", ", y no es lo que debería"},
    {"Everything works.", "Todo funciona."},
    /* settings */
    {"correct that line, or the file's path or permissions; every line is NAME=VALUE or begins "
     "with #",
     "corrige esa línea, o la ruta o los permisos del archivo; cada línea es NOMBRE=VALOR o "
     "empieza con #"},
    {"%s: cannot be read: %s", "%s: no se puede leer: %s"},
    {"%s: not a file of NAME=VALUE lines", "%s: no es un archivo de líneas NOMBRE=VALOR"},
    {"correct the name and keep the value", "corrige el nombre y conserva el valor"},
    {"%.60s is no setting: did you mean %s?", "%s no es un ajuste: ¿querías decir %s?"},
    {"remove this line", "quita esta línea"},
    {"%.60s stands again in line %u, and that one counts.",
     "%s está otra vez en la línea %s, y vale esa."},
    {"chmod 600 it, owned by the user the programs run as",
     "ponle modo 600 (chmod), con el usuario que ejecuta los programas como dueño"},
    {"It has %s, and every user of this machine may read it.",
     "Contiene %s, y cualquier usuario de esta máquina puede leerlo."},
    {"give a value that is allowed", "pon un valor permitido"},
    {"give a value that is allowed; the default is",
     "pon un valor permitido; el valor por defecto es"},
    {"unset it, since the environment counts over .env; or start the program with a flag, "
     "which counts over both",
     "quítala del entorno, que tiene precedencia sobre .env; o arranca el programa con una "
     "opción, que tiene precedencia sobre ambos"},
    {"%s=%.100s: must be %s; %s does not start.", "%s=%s: debe ser %s; %s no arranca."},
    {"%s must be %s; %s does not start.", "%s debe ser %s; %s no arranca."},
    {"text of %s", "un texto de %s"},
    {"a comma list or JSON list of %s", "una lista separada por comas, o en JSON, de %s"},
    {"%lld to %lld bytes", "%s a %s bytes"},
    {"at most %lld bytes", "%s bytes como máximo"},
    {"an address: IPv4, or a name that has one",
     "una dirección: IPv4, o un nombre que tenga una"},
    {"tcp://HOST:PORT or ipc://PATH", "tcp://HOST:PUERTO o ipc://RUTA"},
    {"one of %s", "uno de %s"},
    {"a whole number from %lld to %lld", "un número entero de %s a %s"},
    {"1/0, true/false, yes/no or on/off", "1/0, true/false, yes/no u on/off"},
    {"seconds from %lld to %lld, with up to 3 decimals",
     "una cantidad de segundos de %s a %s, con 3 decimales como máximo"},
    {"remove it from one of the two", "quítalo de uno de los dos"},
    {"The environment has another %s, and that one counts.",
     "El entorno tiene otro %s, y vale ese."},
    {"The environment says %s=%.100s, and that counts, not %.100s.",
     "El entorno dice %s=%s, y vale eso, no %s."},
    {"an origin is scheme and host, and the port if it is not the usual one",
     "un origen es esquema y host, y el puerto si no es el habitual"},
    {"name the origins of your pages, or set CORS_ALLOW_CREDENTIALS=0",
     "nombra los orígenes de tus páginas, o define CORS_ALLOW_CREDENTIALS=0"},
    {"CORS_ORIGINS is * and CORS_ALLOW_CREDENTIALS is 1: browsers refuse that, and the gateway "
     "does not start.",
     "CORS_ORIGINS es * y CORS_ALLOW_CREDENTIALS es 1: los navegadores rechazan eso, y el "
     "gateway no arranca."},
    {"if that is not meant, name the origins of your pages",
     "si no es lo que quieres, nombra los orígenes de tus páginas"},
    {"Pages of every origin may read quotes and connect.",
     "Las páginas de cualquier origen pueden leer cotizaciones y conectarse."},
    {"turn them on", "actívalos"},
    {"WebSockets are turned off: every handshake gets 503.",
     "Los WebSockets están desactivados: todo handshake recibe 503."},
    {"allow as many as you need", "permite tantas como necesites"},
    {"The limit of connections is 0: every handshake gets 503.",
     "El límite de conexiones es 0: todo handshake recibe 503."},
    {"ping three times within WEBSOCKET_TIMEOUT; 0 does that by itself",
     "envía tres pings en el tiempo de WEBSOCKET_TIMEOUT; con 0 se hace solo"},
    {"WS_PING_INTERVAL is %.3f s and WEBSOCKET_TIMEOUT %.3f s: a browser that only listens is "
     "closed with 4001 before it gets a ping.",
     "WS_PING_INTERVAL es %s s y WEBSOCKET_TIMEOUT %s s: un navegador que solo escucha se "
     "cierra con 4001 antes de recibir un ping."},
    {"name the proxy's address, or let HOST be 127.0.0.1",
     "nombra la dirección del proxy, o deja HOST en 127.0.0.1"},
    {"The gateway trusts X-Forwarded headers of every peer, and HOST is %.64s: a peer that "
     "connects directly can claim any client address.",
     "El gateway confía en las cabeceras X-Forwarded de cualquiera, y HOST es %s: quien se "
     "conecta directamente puede fingir cualquier dirección de cliente."},
    {"give each a port of its own", "da a cada uno un puerto propio"},
    {"%s and %s both name port %d.", "%s y %s nombran el mismo puerto, %s."},
    {"name a file that exists; a path without / at its beginning counts from the folder in "
     "which the feeder is started",
     "nombra un archivo que exista; una ruta sin / al principio se cuenta desde la carpeta "
     "donde se arranca el feeder"},
    {"%.300s cannot be read: %s.", "%s no se puede leer: %s."},
    {"remove one of the two", "quita uno de los dos"},
    {"TELEGRAM_TOKEN and TELEGRAM_TOKEN_FILE are both set.",
     "TELEGRAM_TOKEN y TELEGRAM_TOKEN_FILE están definidos a la vez."},
    {"copy it from @BotFather", "cópialo de @BotFather"},
    {"The token is not NUMBER:SECRET.", "El token no tiene la forma NÚMERO:SECRETO."},
    {"name a file that the bot may read", "nombra un archivo que el bot pueda leer"},
    {"name a file", "nombra un archivo"},
    {"STORE=%.200s: must be sqlite:FILE or memory; pregon-broker does not start.",
     "STORE=%s: debe ser sqlite:ARCHIVO o memory; pregon-broker no arranca."},
    /* ports and disk */
    {"give an address of this machine: 127.0.0.1 for this machine alone, 0.0.0.0 for all",
     "pon una dirección de esta máquina: 127.0.0.1 solo para esta máquina, 0.0.0.0 para todas"},
    {"%.100s is no IPv4 address of this machine.",
     "%s no es una dirección IPv4 de esta máquina."},
    {"take one above 1023, and let a proxy have that one",
     "usa uno mayor que 1023, y deja ese para un proxy"},
    {"User %u may not listen on port %d.", "El usuario %s no puede escuchar en el puerto %s."},
    {"end that program, or take another port", "termina ese programa, o usa otro puerto"},
    {"%s is held by %s, not by %s.", "%s lo ocupa %s, no %s."},
    {"start pregon-gateway and read its first lines; if it runs on another port, say so: "
     "PORT=… pregon-doctor",
     "arranca pregon-gateway y lee sus primeras líneas; si corre en otro puerto, indícalo: "
     "PORT=… pregon-doctor"},
    {"PORT 0 takes a free port: give --gateway-url",
     "PORT 0 toma un puerto libre: indica --gateway-url"},
    {"No program listens on %s.", "Ningún programa escucha en %s."},
    {"No program listens on %s (%s).", "Ningún programa escucha en %s (%s)."},
    {"start pregon-broker and read its first lines; if it runs elsewhere, set BROKER_INGEST, "
     "BROKER_PUBLISH and BROKER_CONTROL to those of its ready line",
     "arranca pregon-broker y lee sus primeras líneas; si corre en otro lugar, pon en "
     "BROKER_INGEST, BROKER_PUBLISH y BROKER_CONTROL los de su línea ready"},
    {"raise the hard limit (ulimit -Hn, LimitNOFILE= in the unit, ulimits: in the compose "
     "file) and start the gateway again, start more gateways, or lower the number",
     "sube el límite duro (ulimit -Hn, LimitNOFILE= en la unidad, ulimits: en el archivo de "
     "compose) y reinicia el gateway, arranca más gateways, o baja el número"},
    {"WEBSOCKET_MAX_CONNECTIONS is %d, but of %ld descriptors (the hard limit of %s) only "
     "about %d are left for WebSockets.",
     "WEBSOCKET_MAX_CONNECTIONS es %s, pero de %s descriptores (el límite duro de %s) quedan "
     "solo unos %s para WebSockets."},
    {"the running gateway", "el gateway que corre"},
    {"this shell", "esta shell"},
    {"make the folder, owned by the broker's user; a path without / at its beginning counts "
     "from where the broker is started",
     "crea la carpeta, con el usuario del broker como dueño; una ruta sin / al principio se "
     "cuenta desde donde se arranca el broker"},
    {"make room, keep less (RETENTION_COUNT, RETENTION_AGE), or put STORE elsewhere",
     "libera espacio, conserva menos (RETENTION_COUNT, RETENTION_AGE), o pon STORE en otro "
     "lugar"},
    {"%.300s has %llu MiB free, less than %lld MiB (DISK_FREE_MIN).",
     "%s tiene %s MiB libres, menos que %s MiB (DISK_FREE_MIN)."},
    {"a process of user %u", "un proceso del usuario %s"},
    /* broker and feeds */
    {"start the broker again with this STORE", "reinicia el broker con este STORE"},
    {"STORE names a file, and the broker that runs keeps its log in memory.",
     "STORE nombra un archivo, y el broker que corre guarda su registro en memoria."},
    {"if the log is to survive the broker, name a file",
     "si el registro debe sobrevivir al broker, nombra un archivo"},
    {"The broker keeps its log in memory.", "El broker guarda su registro en memoria."},
    {"make room on the disk, and give the broker's user the right to write there",
     "libera espacio en el disco, y da al usuario del broker permiso para escribir ahí"},
    {"The broker cannot store the log: %.200s", "El broker no puede guardar el registro: %s"},
    {"stop the broker, look at the disk and restore a backup",
     "detén el broker, revisa el disco y restaura un respaldo"},
    {"a faster disk, fewer quotes, or less else on that disk",
     "un disco más rápido, menos cotizaciones, o menos carga ajena en ese disco"},
    {"The oldest record that is not stored yet is %llu s old.",
     "El elemento más viejo que aún no está guardado tiene %s s."},
    {"feed %s, host %s, pid %llu", "feed %s, máquina %s, pid %s"},
    {"start its feeder again; a table that has ended needs LOOP=1",
     "arranca su feeder otra vez; una tabla que terminó necesita LOOP=1"},
    {"start its feeder again (a table that has ended needs LOOP=1), or remove it: pregon-tail "
     "--forget feed:NAME",
     "arranca su feeder otra vez (una tabla que terminó necesita LOOP=1), o quítalo: "
     "pregon-tail --forget feed:NOMBRE"},
    {"The feeder ended in order.", "El feeder terminó en orden."},
    {"see whether its pregon-feeder still runs, and reaches BROKER_INGEST and BROKER_CONTROL",
     "comprueba si su pregon-feeder sigue corriendo y llega a BROKER_INGEST y BROKER_CONTROL"},
    {"Nothing has come from it for %.1f s.", "No llega nada de este feed desde hace %s s."},
    {"check what its SOURCE prints", "revisa qué escribe su SOURCE"},
    {"Its feeder runs, but has never sent a quote.",
     "Su feeder corre, pero nunca envió una cotización."},
    {"the broker's log says why, and so does the feeder's",
     "el log del broker dice por qué, y también el del feeder"},
    {"The broker refused %llu quotes of it.",
     "Cotizaciones de este feed que el broker rechazó: %s."},
    {"a larger RING lets it wait longer for a broker that is away",
     "con un RING mayor puede esperar más tiempo a un broker que no está"},
    {"%llu of its lines are lost.", "Se perdieron %s de sus líneas."},
    {"start a feeder; its BROKER_INGEST and BROKER_CONTROL are the broker's",
     "arranca un feeder; sus BROKER_INGEST y BROKER_CONTROL son los del broker"},
    {"No feeder has ever connected to this broker: there are no quotes.",
     "Ningún feeder se conectó nunca a este broker: no hay cotizaciones."},
    {"start pregon-telegram; after one that was killed the lock stays closed for a minute",
     "arranca pregon-telegram; si se mató a uno, el lock queda cerrado un minuto"},
    {"A bot is configured, but no lock named telegram… is held.",
     "Hay un bot configurado, pero nadie tiene un lock llamado telegram…"},
    {"let both machines follow a time server (timedatectl set-ntp true)",
     "sincroniza ambas máquinas con un servidor de hora (timedatectl set-ntp true)"},
    {"The clock of %s is %.1f s %s this machine's.",
     "El reloj de %s está %s s %s del de esta máquina."},
    {"The clock of the gateway is %.1f s %s this machine's.",
     "El reloj del gateway está %s s %s del de esta máquina."},
    {"ahead of", "por delante"},
    {"behind", "por detrás"},
    {"this machine", "esta máquina"},
    {"The kernel says that its clock follows no time server, and the broker is on another "
     "machine.",
     "El kernel dice que su reloj no sigue a ningún servidor de hora, y el broker está en otra "
     "máquina."},
    {"the broker", "el broker"},
    {"the gateway", "el gateway"},
    {"set it to the publish= of the broker's ready line; between machines, let that port "
     "through",
     "pon el publish= de la línea ready del broker; entre máquinas, deja pasar ese puerto"},
    {"The broker answers, but at %.200s no heartbeat comes within %.1f s.",
     "El broker responde, pero en %s no llega ningún heartbeat en %s s."},
    {"set it to the control= of the broker's ready line; between machines, let that port "
     "through",
     "pon el control= de la línea ready del broker; entre máquinas, deja pasar ese puerto"},
    {"No broker answers at %.200s within %.1f s.", "En %s no responde ningún broker en %s s."},
    /* gateway */
    {"the broker answers here: start the gateway with the same BROKER_PUBLISH and "
     "BROKER_CONTROL as it has",
     "el broker responde aquí: arranca el gateway con los mismos BROKER_PUBLISH y "
     "BROKER_CONTROL que él"},
    {"start the broker, or let the gateway reach it",
     "arranca el broker, o haz que el gateway llegue a él"},
    {"The gateway has no contact with its broker: %s.",
     "El gateway no tiene contacto con su broker: %s."},
    {"start the gateway with these BROKER_PUBLISH and BROKER_CONTROL, or mend them here",
     "arranca el gateway con estos BROKER_PUBLISH y BROKER_CONTROL, o corrígelos aquí"},
    {"The gateway follows a broker whose log is %s; that of .env has %016llx.",
     "El gateway sigue a un broker cuyo registro es %s; el de .env tiene %s."},
    {"restart the programs of the older version",
     "reinicia los programas de la versión más vieja"},
    {"gateway %s, broker %s, pregon-doctor %s.", "gateway %s, broker %s, pregon-doctor %s."},
    {"not heard", "sin respuesta"},
    {"let it read them again (SIGHUP, systemctl reload), or look for the flag or environment "
     "it was started with",
     "haz que los lea otra vez (SIGHUP, systemctl reload), o busca con qué opción o entorno se "
     "arrancó"},
    {"let the gateway read its settings again (SIGHUP, systemctl reload), or look for the flag "
     "or environment it was started with",
     "haz que el gateway lea otra vez sus ajustes (SIGHUP, systemctl reload), o busca con qué "
     "opción o entorno se arrancó"},
    {"WEBSOCKET_MAX_CONNECTIONS is %lld here, and %s in the gateway that runs.",
     "WEBSOCKET_MAX_CONNECTIONS es %s aquí, y %s en el gateway que corre."},
    {"WEBSOCKET_TIMEOUT is %.3f here, and %s in the gateway that runs.",
     "WEBSOCKET_TIMEOUT es %s aquí, y %s en el gateway que corre."},
    {"The server at %s is not a gateway of Pregón: HTTP %d%s%s.",
     "El servidor en %s no es un gateway de Pregón: HTTP %s%s%s."},
    {"see in its log whether it hangs (pregon-gateway --check), or start it again",
     "mira en su log si está colgado (pregon-gateway --check), o reinícialo"},
    {"No answer from %s%s%s: %s.", "No responde %s%s%s: %s."},
    {"see docs/troubleshooting.md", "ver docs/troubleshooting.es.md"},
    {"Handshakes are refused with HTTP %d %s: %s",
     "Los handshakes se rechazan con HTTP %s %s: %s"},
    {"list it, and let the gateway read it (SIGHUP, systemctl reload)",
     "agrégalo a la lista, y haz que el gateway la lea (SIGHUP, systemctl reload)"},
    {"Pages of %.300s get 403 Forbidden, and may read no answer: that origin is not in "
     "CORS_ORIGINS.",
     "Las páginas de %s reciben 403 Forbidden y no pueden leer ninguna respuesta: ese origen "
     "no está en CORS_ORIGINS."},
    {"CORS_ORIGINS lists %.200s, and the gateway that runs refuses it.",
     "CORS_ORIGINS incluye %s, y el gateway que corre lo rechaza."},
    {"see in its log what happened", "mira en su log qué pasó"},
    {"A handshake got HTTP %d and nothing more from %s. %s",
     "Un handshake recibió HTTP %s y nada más de %s. %s"},
    {"A page of %s may connect, although its origin is not listed.",
     "Una página de %s puede conectarse, aunque su origen no está en la lista."},
    /* proxy */
    {"let pages use the address it leads to (wss: for https:)",
     "haz que las páginas usen la dirección a la que redirige (wss: en lugar de https:)"},
    {"%s is answered with HTTP %d to %s.", "%s responde HTTP %s hacia %s."},
    {"give the proxy the gateway's address, and let HOST be one that it can reach",
     "da al proxy la dirección del gateway, y pon en HOST una a la que pueda llegar"},
    {"%s gets HTTP %d from the proxy itself.", "%s recibe HTTP %s del propio proxy."},
    {"look in the proxy's log and for its rules on addresses, methods and passwords; no "
     "request reached the gateway",
     "mira el log del proxy y sus reglas sobre direcciones, métodos y contraseñas; al gateway "
     "no llegó ninguna petición"},
    {"let the proxy pass /cotizaciones/ and /ws/ to the gateway",
     "haz que el proxy reenvíe /cotizaciones/ y /ws/ al gateway"},
    {"%s gets HTTP %d, and not from a gateway of Pregón.",
     "%s recibe HTTP %s, y no de un gateway de Pregón."},
    {"renew the certificate, with its chain, for that name",
     "renueva el certificado, con su cadena, para ese nombre"},
    {"mend the name, the address or the firewall, or start the proxy",
     "corrige el nombre, la dirección o el firewall, o arranca el proxy"},
    {"let the proxy take its prefix off, or tell the gateway what it is",
     "haz que el proxy quite su prefijo, o indícale al gateway cuál es"},
    {"Through the proxy the gateway gets a path that it does not know: 404.",
     "A través del proxy, el gateway recibe una ruta que no conoce: 404."},
    {"nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header "
     "Connection \"upgrade\"; others: docs/operations.md, Behind a proxy",
     "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header "
     "Connection \"upgrade\"; otros: docs/operations.es.md, Detrás de un proxy"},
    {"Directly a handshake passes; through the proxy the gateway gets it without its headers: "
     "HTTP %d %s.",
     "Directamente el handshake pasa; a través del proxy, el gateway lo recibe sin sus "
     "cabeceras: HTTP %s %s."},
    {"nginx: proxy_buffering off; others: turn off what buffers, compresses or scans answers",
     "nginx: proxy_buffering off; otros: desactiva lo que retiene, comprime o inspecciona "
     "respuestas"},
    {"The handshake passes, but no message follows; directly the welcome comes at once.",
     "El handshake pasa, pero no llega ningún mensaje; directamente, la bienvenida llega "
     "enseguida."},
    {"look in the proxy's log what it does with Upgrade: websocket",
     "mira en el log del proxy qué hace con Upgrade: websocket"},
    {"Pages come through, handshakes do not: %s.", "Las páginas pasan, los handshakes no: %s."},
    {"let the proxy pass /ws/cotizaciones as it is",
     "haz que el proxy reenvíe /ws/cotizaciones sin cambios"},
    {"Pages come through, and /ws/cotizaciones arrives as another path: 404.",
     "Las páginas pasan, y /ws/cotizaciones llega como otra ruta: 404."},
    {"nginx: take out proxy_set_header Origin; others: do not change it",
     "nginx: quita proxy_set_header Origin; otros: no lo cambies"},
    {"A handshake of %s passes directly, and gets 403 through the proxy.",
     "Un handshake de %s pasa directamente, y recibe 403 a través del proxy."},
    {"take the proxy's own Access-Control headers out (nginx: add_header, proxy_hide_header): "
     "the gateway sends them",
     "quita las cabeceras Access-Control del propio proxy (nginx: add_header, "
     "proxy_hide_header): las envía el gateway"},
    {"To %s the gateway says %s %s (%d times); through the proxy it is %s (%d times), and "
     "browsers keep such an answer from the page.",
     "A %s el gateway le dice %s %s (%s veces); a través del proxy es %s (%s veces), y los "
     "navegadores no entregan una respuesta así a la página."},
    {"Pages of %s arrive with the Origin %s.", "Las páginas de %s llegan con el Origin %s."},
    {"dropped, as if no browser had sent it",
     "quitado, como si no lo hubiera enviado un navegador"},
    {"if that is your proxy, trust it", "si es tu proxy, confía en él"},
    {"The proxy %s sends the client's address (X-Forwarded-For: %s), but the gateway does not "
     "trust it.",
     "El proxy %s envía la dirección del cliente (X-Forwarded-For: %s), pero el gateway no "
     "confía en él."},
    {"nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; others: let it send "
     "X-Forwarded-For",
     "nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; otros: haz que envíe "
     "X-Forwarded-For"},
    {"All clients behind the proxy appear with the address %s.",
     "Todos los clientes detrás del proxy aparecen con la dirección %s."},
    {"let the proxy send X-Forwarded-Proto (nginx: proxy_set_header X-Forwarded-Proto $scheme)",
     "haz que el proxy envíe X-Forwarded-Proto (nginx: proxy_set_header X-Forwarded-Proto "
     "$scheme)"},
    {"Browsers use %s, but the gateway takes its address for %s: pages that it serves itself "
     "get 403.",
     "Los navegadores usan %s, pero el gateway toma su dirección por %s: las páginas que él "
     "mismo sirve reciben 403."},
    {"let the proxy pass Host (nginx: proxy_set_header Host $http_host), or send "
     "X-Forwarded-Host",
     "haz que el proxy reenvíe Host (nginx: proxy_set_header Host $http_host), o que envíe "
     "X-Forwarded-Host"},
    /* why there is no answer */
    {"the answer is no HTTP", "la respuesta no es HTTP"},
    {"the connection ended without an answer", "la conexión terminó sin respuesta"},
    {"the handshake could not be sent", "no se pudo enviar el handshake"},
    {"No such file or directory", "no existe"},
    {"Permission denied", "permiso denegado"},
    {"Connection refused", "conexión rechazada"},
    /* preflights */
    {"The preflight for %s %s with the headers authorization, content-type, x-requested-with "
     "is refused: %s",
     "Se rechaza el preflight de %s %s con las cabeceras authorization, content-type, "
     "x-requested-with: %s"},
    {"The preflight of a page of %.200s for %s %s gets HTTP %d %s, and the settings here allow "
     "it.",
     "El preflight de una página de %s para %s %s recibe HTTP %s %s, y los ajustes de aquí lo "
     "permiten."},
    CORS_TEXTS,
    /* entries of CORS_ORIGINS */
    {"%s: entry '%.100s' is no origin: %s.  Allowed: scheme://host[:port] with at most one "
     "'*', like https://app.example or http://localhost:*; null; or * alone",
     "%s: la entrada '%s' no es un origen: %s. Se permite: esquema://host[:puerto] con un '*' "
     "como máximo, como https://app.example o http://localhost:*; null; o * solo"},
    {"write the name as browsers send it (xn--…)",
     "escribe el nombre como lo envían los navegadores (xn--…)"},
    {"at most one '*' may stand in an entry", "en una entrada puede haber un '*' como máximo"},
    {"browsers send http:// or https:// as the origin of a WebSocket too",
     "los navegadores envían http:// o https:// como origen también de un WebSocket"},
    {"the scheme is missing: http:// or https://", "falta el esquema: http:// o https://"},
    {"only a scheme, a host and a port (1 to 65535) may be written, no path",
     "solo puede haber esquema, host y puerto (1 a 65535), sin ruta"},
};
/* clang-format on */

void doctor_text_add(struct buf *out, enum language l, const char *english)
{
    static const struct language_table table = {texts, sizeof texts / sizeof *texts};

    language_add(out, l, table, english);
}
