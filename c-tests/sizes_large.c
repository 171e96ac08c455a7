// Much larger than the library has them.
#define MG_DATA_SIZE 10240
#define MG_MAX_HTTP_HEADERS 500
#include "sizes.h"
