// Sizes smaller than the library's.
#define MG_DATA_SIZE 8
#define MG_MAX_HTTP_HEADERS 10
#include "sizes.h"
