// See posix.h.
#include <malloc.h>
