/* version: the product's version, for --version and status pages. */
#ifndef SHARED_BASE_VERSION_H
#define SHARED_BASE_VERSION_H

#define PREGON_VERSION "0.1.0"

#endif
