/* finding_texts: the meanings of findings (finding.h) in Spanish, for --list. */
#ifndef DOCTOR_FINDING_TEXTS_H
#define DOCTOR_FINDING_TEXTS_H

#include "shared/base/language.h"

extern const struct language_table finding_texts;

#endif
