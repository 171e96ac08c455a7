//! Digests on the public context structs.
