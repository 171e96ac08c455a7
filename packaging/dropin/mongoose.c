// For projects that list mongoose.c among their sources: put this file and the mongoose.h of libmongoose-rs in the place of the
// original's two, and add -lmongoose to the link. It contains no code.
#include "mongoose.h"

#if defined(__clang__) && defined(__ELF__)
#pragma comment(lib, "mongoose")  // enough with the linker lld
#endif
