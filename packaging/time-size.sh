#!/bin/sh
# Prints the bytes of the C compiler's time_t where there are two kinds, on 32-bit machines; 0 elsewhere. For the installed header.
# Nothing has to run: an array of negative size does not compile.
is() { echo "#include <time.h>
char yes[($1) ? 1 : -1];" | ${CC:-cc} $CFLAGS -x c -fsyntax-only - 2>/dev/null; }
if ! is 'sizeof(void *) == 4'; then echo 0
elif is 'sizeof(time_t) == 8'; then echo 8
else echo 4
fi
