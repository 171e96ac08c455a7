// A little larger than the library has them.
#define MG_DATA_SIZE 33
#define MG_MAX_HTTP_HEADERS 31
#include "sizes.h"
