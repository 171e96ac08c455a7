// Sizes much larger than the library's.
#define MG_DATA_SIZE 10240
#define MG_MAX_HTTP_HEADERS 500
#include "sizes.h"
