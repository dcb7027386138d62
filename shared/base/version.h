/* version: of the product, as --version and status pages say it. */
#ifndef SHARED_BASE_VERSION_H
#define SHARED_BASE_VERSION_H

#define PREGON_VERSION "0.1.0"

#endif
