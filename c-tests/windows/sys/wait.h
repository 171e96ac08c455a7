// See posix.h.
