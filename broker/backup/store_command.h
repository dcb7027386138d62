/*
 * store_command: runs BACKUP or RESTORE instead of the broker when one of them is set. Each prints
 * one sentence: the result on standard output, an error on standard error.
 */
#ifndef BROKER_BACKUP_STORE_COMMAND_H
#define BROKER_BACKUP_STORE_COMMAND_H

#include "broker/config/broker_config.h"

/* Copy STORE and its locks to the file that BACKUP names.  The exit code. */
int store_command_back_up(const struct broker_config *config);
/* Put the backup that RESTORE names in the place of STORE and its locks.  The exit code. */
int store_command_restore(const struct broker_config *config);

#endif
