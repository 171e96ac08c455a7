//! Memory, random numbers, checksums, paths, byte order, access lists.
