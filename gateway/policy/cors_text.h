/*
 * cors_text: cors.c's reasons and hints of refused preflights, in English and Spanish: rows of a
 * table of struct language_text.  The gateway sends them, and pregon-doctor prints them.
 */
#ifndef GATEWAY_POLICY_CORS_TEXT_H
#define GATEWAY_POLICY_CORS_TEXT_H

#define CORS_TEXTS                                                                       \
    {"Pages of %.120s may not read this gateway.",                                       \
     "Las páginas de %s no pueden leer este gateway."},                                  \
        {"Add %.120s to CORS_ORIGINS.", "Agrega %s a CORS_ORIGINS."},                    \
        {"Pages of %.120s may not use the method %.40s here, only %.80s.",               \
         "Las páginas de %s no pueden usar aquí el método %s, solo %s."},                \
        {"Add %.40s to CORS_ALLOW_METHODS.", "Agrega %s a CORS_ALLOW_METHODS."},         \
        {"This path has no other methods, and CORS_ALLOW_METHODS is not set.",           \
         "Esta ruta no tiene otros métodos, y CORS_ALLOW_METHODS no está definido."},    \
        {"Pages of %.120s may not send the request header '%.*s'.",                      \
         "Las páginas de %s no pueden enviar la cabecera '%s'."},                        \
    {                                                                                    \
        "Add %.*s to CORS_ALLOW_HEADERS, beside the headers it has now: %.150s.",        \
            "Agrega %s a CORS_ALLOW_HEADERS, junto a las cabeceras que tiene ahora: %s." \
    }

#endif
