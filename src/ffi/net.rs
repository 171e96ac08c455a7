//! Manager, connections, sending.
