unsafe extern "C" { safe fn mg_millis() -> u64; }
pub(crate) fn millis() -> u64 { mg_millis() }
