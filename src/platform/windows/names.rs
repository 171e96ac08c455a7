//! Local name resolution: the hosts file, read again when it has changed, and the name servers of the network adapters, in the form of
//! a resolv.conf.

use core::cell::RefCell;
use core::ptr;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::windows::ffi::OsStringExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::SystemTime;
use windows_sys::Win32::Foundation::{ERROR_BUFFER_OVERFLOW, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::*;
use windows_sys::Win32::NetworkManagement::Ndis::IfOperStatusUp;
use windows_sys::Win32::Networking::WinSock::{AF_UNSPEC, SOCKADDR, SOCKADDR_STORAGE, SOCKET_ADDRESS};

/// Maximum number of bytes read from a file; the rest is ignored.
const SIZE: u64 = 1 << 20;

/// Identifies a version of a file: its size and time of change. None: the file does not exist.
type Version = Option<(u64, Option<SystemTime>)>;

#[derive(Default)]
pub(crate) struct Names(RefCell<(Version, Rc<[u8]>)>);

fn hosts_file() -> PathBuf {
    let system = std::env::var_os("SystemRoot").unwrap_or_else(|| r"C:\Windows".into());
    PathBuf::from(system).join(r"System32\drivers\etc\hosts")
}

impl Names {
    pub(crate) fn hosts(&self) -> Rc<[u8]> {
        let path = hosts_file();
        let now = fs::metadata(&path).ok().map(|m| (m.len(), m.modified().ok()));
        let mut kept = self.0.borrow_mut();
        if kept.0 != now {
            let mut text = Vec::new();
            // A file that cannot be read counts as empty.
            let _ = File::open(path).and_then(|file| file.take(SIZE).read_to_end(&mut text));
            *kept = (now, text.into());
        }
        kept.1.clone()
    }

    pub(crate) fn conf(&self) -> Rc<[u8]> {
        conf(&adapters()).into_bytes().into()
    }
}

/// The relevant settings of a network adapter that is up.
struct Adapter {
    metric: u32,
    servers: Vec<SocketAddr>,
    domain: String,
}

/// The preferred adapter first.
fn conf(adapters: &[Adapter]) -> String {
    let mut text = String::new();
    for server in adapters.iter().flat_map(|a| &a.servers) {
        let _ = match server {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => writeln!(text, "nameserver {}%{}", v6.ip(), v6.scope_id()),
            any => writeln!(text, "nameserver {}", any.ip()),
        };
    }
    if let Some(domain) = adapters.iter().map(|a| &a.domain).find(|d| !d.is_empty()) {
        let _ = writeln!(text, "search {domain}");
    }
    text
}

/// Addresses that Windows reports for adapters without a server: fec0:0:0:ffff::1 to 3.
fn is_placeholder(server: &SocketAddr) -> bool {
    matches!(server, SocketAddr::V6(v6) if v6.ip().segments()[..7] == Ipv6Addr::new(0xfec0, 0, 0, 0xffff, 0, 0, 0, 0).segments()[..7])
}

fn adapters() -> Vec<Adapter> {
    const FLAGS: u32 = GAA_FLAG_SKIP_UNICAST | GAA_FLAG_SKIP_ANYCAST | GAA_FLAG_SKIP_MULTICAST | GAA_FLAG_SKIP_FRIENDLY_NAME;
    let mut memory: Vec<u64> = Vec::new();
    let mut size = 16 * 1024;
    // The list may grow between two calls.
    for _ in 0..5 {
        memory.resize(size as usize / 8 + 1, 0);
        // SAFETY: the memory has that many bytes, aligned for the records.
        let result = unsafe { GetAdaptersAddresses(AF_UNSPEC.into(), FLAGS, ptr::null(), memory.as_mut_ptr().cast(), &mut size) };
        match result {
            NO_ERROR => {
                // SAFETY: the system has stored a list there.
                let mut found = unsafe { walk(memory.as_ptr().cast()) };
                found.sort_by_key(|a| a.metric);
                return found;
            }
            ERROR_BUFFER_OVERFLOW => {}
            _ => break,
        }
    }
    Vec::new()
}

/// # Safety
/// `at` is a list of adapters, or NULL.
unsafe fn walk(mut at: *const IP_ADAPTER_ADDRESSES_LH) -> Vec<Adapter> {
    let mut found = Vec::new();
    // SAFETY: as the caller promises. Each record, with the addresses and names that it points to, lies in the memory of the list.
    while let Some(adapter) = unsafe { at.as_ref() } {
        at = adapter.Next;
        if adapter.OperStatus != IfOperStatusUp {
            continue;
        }
        let mut servers = Vec::new();
        let mut server = adapter.FirstDnsServerAddress;
        // SAFETY: as above.
        while let Some(one) = unsafe { server.as_ref() } {
            server = one.Next;
            // SAFETY: as above.
            servers.extend(unsafe { address(&one.Address) }.filter(|a| !is_placeholder(a)));
        }
        // SAFETY: as above; it ends with a NUL.
        let domain = unsafe {
            let len = (0..256).take_while(|n| *adapter.DnsSuffix.add(*n) != 0).count();
            OsString::from_wide(core::slice::from_raw_parts(adapter.DnsSuffix, len))
        };
        found.push(Adapter { metric: adapter.Ipv4Metric, servers, domain: domain.into_string().unwrap_or_default() });
    }
    found
}

/// # Safety
/// It points at a socket address of the given length.
unsafe fn address(a: &SOCKET_ADDRESS) -> Option<SocketAddr> {
    let len = usize::try_from(a.iSockaddrLength).ok().filter(|n| *n <= size_of::<SOCKADDR_STORAGE>())?;
    // SAFETY: as the caller promises; the storage is large enough.
    let ((), found) = unsafe {
        socket2::SockAddr::try_init(|storage, size| {
            ptr::copy_nonoverlapping::<u8>(a.lpSockaddr.cast::<SOCKADDR>().cast(), storage.cast(), len);
            *size = len as _;
            Ok(())
        })
    }
    .ok()?;
    found.as_socket()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_become_a_resolv_conf() {
        let adapter = |servers: &[&str], domain: &str| Adapter {
            metric: 0,
            servers: servers.iter().map(|s| s.parse().unwrap()).collect(),
            domain: domain.into(),
        };
        let text = conf(&[adapter(&["192.0.2.1:53", "[fe80::1%3]:53"], ""), adapter(&["[2001:db8::1]:53"], "example.org")]);
        assert_eq!(text, "nameserver 192.0.2.1\nnameserver fe80::1%3\nnameserver 2001:db8::1\nsearch example.org\n");
        assert!(is_placeholder(&"[fec0:0:0:ffff::2%1]:53".parse().unwrap()));
        assert!(!is_placeholder(&"[fe80::1]:53".parse().unwrap()));
    }
}
