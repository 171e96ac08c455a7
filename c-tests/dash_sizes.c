// The dashboard in an application that chooses its sizes.
#define MG_DATA_SIZE 100
#define MG_MAX_HTTP_HEADERS 40
#include "dash.c"
