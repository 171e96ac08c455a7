// Sizes slightly larger than the library's.
#define MG_DATA_SIZE 33
#define MG_MAX_HTTP_HEADERS 31
#include "sizes.h"
