#include "consumer/telegram/phrase.h"

#include <time.h>

void phrase_help(struct buf *b, bool is_spanish)
{
    buf_adds(b, is_spanish ? "Pregón: cotizaciones y alertas.\n"
                             "/precio SÍMBOLO: el último precio\n"
                             "/alerta SÍMBOLO > PRECIO: avisa al cruzarlo (también < >= <=)\n"
                             "/alertas: las alertas de este chat\n"
                             "/borrar N: borra la alerta N\n"
                             "/ayuda: esta lista"
                           : "Pregón: quotes and alerts.\n"
                             "/price SYMBOL: the last price\n"
                             "/alert SYMBOL > PRICE: tells you when it crosses (also < >= <=)\n"
                             "/alerts: the alerts of this chat\n"
                             "/delete N: deletes alert N\n"
                             "/help: this list");
}

void phrase_unknown_command(struct buf *b, bool is_spanish)
{
    buf_adds(b, is_spanish ? "No conozco esa orden. /ayuda dice cuáles hay."
                           : "I do not know that command. /help lists them.");
}

static const char *usage(bool is_spanish, enum command_kind kind)
{
    switch (kind) {
    case COMMAND_ALERT:
        return is_spanish ? "/alerta BTC/USD > 50000" : "/alert BTC/USD > 50000";
    case COMMAND_DELETE:
        return is_spanish ? "/borrar 1" : "/delete 1";
    default:
        return is_spanish ? "/precio BTC/USD" : "/price BTC/USD";
    }
}

void phrase_fault(struct buf *b, bool is_spanish, const struct command *c)
{
    switch (c->fault) {
    case COMMAND_FINE:
        break;
    case COMMAND_NO_SYMBOL:
        buf_adds(b, is_spanish ? "Falta el símbolo, de 1 a 32 de A-Z 0-9 . _ : / = ^ -."
                               : "The symbol is missing, 1 to 32 of A-Z 0-9 . _ : / = ^ -.");
        break;
    case COMMAND_NO_COMPARISON:
        buf_adds(b, is_spanish ? "Tras el símbolo falta > < >= o <=."
                               : "After the symbol one of > < >= <= is missing.");
        break;
    case COMMAND_NO_PRICE:
        buf_adds(b, is_spanish ? "Falta el precio, un número como 1034.50."
                               : "The price is missing, a number like 1034.50.");
        break;
    case COMMAND_NO_NUMBER:
        buf_adds(b, is_spanish ? "Falta el número de la alerta; /alertas los dice."
                               : "The alert's number is missing; /alerts tells them.");
        break;
    case COMMAND_TOO_MUCH:
        buf_adds(b, is_spanish ? "Sobran palabras." : "There are words too many.");
        break;
    }
    buf_printf(b, is_spanish ? " Por ejemplo: %s" : " For example: %s", usage(is_spanish, c->kind));
}

static void add_time(struct buf *b, int64_t time_s)
{
    time_t t = (time_t)time_s;
    struct tm utc;

    if (time_s > 0 && gmtime_r(&t, &utc))
        buf_printf(b, ", %02d:%02d:%02d UTC", utc.tm_hour, utc.tm_min, utc.tm_sec);
}

static void add_sides(struct buf *b, bool is_spanish, const struct lastprice *p)
{
    const char *before = *p->last ? " (" : " ";

    if (*p->bid) {
        buf_printf(b, is_spanish ? "%scompra %s" : "%sbid %s", before, p->bid);
        before = ", ";
    }
    if (*p->ask)
        buf_printf(b, is_spanish ? "%sventa %s" : "%sask %s", before, p->ask);
    if (*p->last && (*p->bid || *p->ask))
        buf_addc(b, ')');
}

void phrase_price(struct buf *b, bool is_spanish, const char *symbol, const struct lastprice *p)
{
    if (!p) {
        buf_printf(b,
                   is_spanish ? "De %s no ha llegado ninguna cotización."
                              : "No quote of %s has ever come.",
                   symbol);
        return;
    }
    buf_adds(b, symbol);
    if (*p->last)
        buf_printf(b, " %s", p->last);
    add_sides(b, is_spanish, p);
    if (*p->currency)
        buf_printf(b, " %s", p->currency);
    add_time(b, p->time_s);
    if (p->is_stale)
        buf_adds(b, is_spanish ? ". Sin novedades: la fuente calla."
                               : ". No news: its feed is silent.");
}

static void add_alert(struct buf *b, const struct alert *a)
{
    buf_printf(b, "%s %s %s", a->symbol, alert_sign(a->comparison), a->threshold);
}

void phrase_alert_set(struct buf *b, bool is_spanish, const struct alert *a,
                      const struct lastprice *price)
{
    buf_printf(b, is_spanish ? "Alerta %u: " : "Alert %u: ", a->number);
    add_alert(b, a);
    buf_adds(b, is_spanish ? ".\nAhora: " : ".\nNow: ");
    phrase_price(b, is_spanish, a->symbol, price);
}

void phrase_alert_exists(struct buf *b, bool is_spanish, const struct alert *a)
{
    buf_printf(b,
               is_spanish ? "Ya está: alerta %u: " : "It is there already: alert %u: ", a->number);
    add_alert(b, a);
}

void phrase_chat_full(struct buf *b, bool is_spanish, size_t limit)
{
    buf_printf(b,
               is_spanish ? "Este chat ya tiene %zu alertas, el máximo. Borra una con /borrar N."
                          : "This chat has %zu alerts already, the most it may have. Delete one "
                            "with /delete N.",
               limit);
}

void phrase_bot_full(struct buf *b, bool is_spanish)
{
    buf_adds(b, is_spanish ? "No caben más alertas en este bot: está lleno con las de todos."
                           : "There is no room for more alerts in this bot: everybody's fill it.");
}

void phrase_alerts_head(struct buf *b, bool is_spanish, size_t count)
{
    if (!count)
        buf_adds(b, is_spanish ? "No hay alertas. Pon una: /alerta BTC/USD > 50000"
                               : "There are no alerts. Set one: /alert BTC/USD > 50000");
    else
        buf_adds(b, is_spanish ? "Alertas:" : "Alerts:");
}

void phrase_alerts_line(struct buf *b, bool is_spanish, const struct alert *a)
{
    buf_printf(b, "\n%u. ", a->number);
    add_alert(b, a);
    if (!a->is_armed)
        buf_adds(b, is_spanish ? " (avisada)" : " (sent)");
}

void phrase_deleted(struct buf *b, bool is_spanish, const struct alert *a)
{
    buf_printf(b, is_spanish ? "Borrada la alerta %u: " : "Deleted alert %u: ", a->number);
    add_alert(b, a);
}

void phrase_no_alert(struct buf *b, bool is_spanish, uint32_t number)
{
    buf_printf(b,
               is_spanish ? "No hay alerta %u; /alertas dice cuáles hay."
                          : "There is no alert %u; /alerts tells which there are.",
               number);
}

void phrase_crossed(struct buf *b, const struct alert *a)
{
    buf_printf(b, a->is_spanish ? "Alerta %u: " : "Alert %u: ", a->number);
    add_alert(b, a);
    buf_printf(b, a->is_spanish ? ". Precio: %s" : ". Price: %s", a->pending);
}

void phrase_repeated(struct buf *b, bool is_spanish)
{
    buf_adds(b, is_spanish ? "(posiblemente repetido) " : "(possibly repeated) ");
}
