//! Protocol handlers for `c->pfn`, and JSON-RPC.

mod connection_close;
pub(crate) mod dash;
pub(crate) mod drain;
pub(crate) mod file_cache;
pub(crate) mod http;
pub(crate) mod limits;
pub(crate) mod mdns;
pub(crate) mod modbus;
pub(crate) mod mqtt;
pub(crate) mod ota;
pub(crate) mod reply;
pub(crate) mod rpc;
pub(crate) mod site;
pub(crate) mod sntp;
pub(crate) mod ssi;
pub(crate) mod static_files;
pub(crate) mod upload;
pub(crate) mod ws;
