/*
 * doctor_text: what the doctor prints, in English or Spanish.
 *
 * Names of findings, severities in JSON, settings and commands stay as they are, and so do
 * sentences that other programs report.  Any thread.
 */
#ifndef DOCTOR_DOCTOR_TEXT_H
#define DOCTOR_DOCTOR_TEXT_H

#include "shared/base/language.h"

/* Append the text, which may be formatted, in that language. */
void doctor_text_add(struct buf *out, enum language l, const char *english);

#endif
