/* store_schema: the tables of the log's file. */
#ifndef BROKER_LOG_STORE_SCHEMA_H
#define BROKER_LOG_STORE_SCHEMA_H

#include "broker/sqlite/schema.h"

const struct schema *store_schema_log(void); /* "Preg" */

#endif
