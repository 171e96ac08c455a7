use super::*;

pub const MG_TCPIP_DHCPNAME_SIZE: usize = 18;

pub const MG_TCPIP_STATE_DOWN: c_int = 0;
pub const MG_TCPIP_STATE_LINK_UP: c_int = 1;
pub const MG_TCPIP_STATE_UP: c_int = 2;
pub const MG_TCPIP_STATE_REQ: c_int = 3;
pub const MG_TCPIP_STATE_IP: c_int = 4;
pub const MG_TCPIP_STATE_READY: c_int = 5;

/// Events of an interface.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum mg_tcpip_event {
    /// `uint8_t *`: the new state, MG_TCPIP_STATE_*.
    MG_TCPIP_EV_STATE_CHANGE = 0,
    /// `uint32_t *`: the DNS server that DHCP has named.
    MG_TCPIP_EV_DHCP_DNS,
    /// `uint32_t *`: the time server that DHCP has named.
    MG_TCPIP_EV_DHCP_SNTP,
    /// `struct mg_str *`: a received ARP frame.
    MG_TCPIP_EV_ARP,
    /// A second has passed.
    MG_TCPIP_EV_TIMER_1S,
    /// Of Wi-Fi drivers.
    MG_TCPIP_EV_WIFI_SCAN_RESULT,
    MG_TCPIP_EV_WIFI_SCAN_END,
    MG_TCPIP_EV_WIFI_CONNECT_ERR,
    /// Of drivers.
    MG_TCPIP_EV_DRIVER,
    /// `uint8_t *`: the new state of IPv6.
    MG_TCPIP_EV_STATE6_CHANGE,
    /// First event number for applications.
    MG_TCPIP_EV_USER,
}
pub use mg_tcpip_event::*;

/// Layer 2 of an interface. The library supports MG_TCPIP_L2_ETH.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum mg_l2type {
    MG_TCPIP_L2_ETH = 0,
    MG_TCPIP_L2_PPP,
    MG_TCPIP_L2_PPPoE,
    MG_TCPIP_L2_USER,
}

/// Protocols carried in frames.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum mg_l2proto {
    MG_TCPIP_L2PROTO_IPV4 = 0,
    MG_TCPIP_L2PROTO_IPV6,
    MG_TCPIP_L2PROTO_ARP,
    MG_TCPIP_L2PROTO_PPPoE_DISC,
    MG_TCPIP_L2PROTO_PPPoE_SESS,
}

/// Kinds of layer 2 addresses.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum mg_l2addrtype {
    MG_TCPIP_L2ADDR_BCAST = 0,
    MG_TCPIP_L2ADDR_MCAST,
    MG_TCPIP_L2ADDR_MCAST6,
}

/// The parts of a layer 2 address.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub union mg_l2addr_bytes {
    pub mac: [u8; 6],
    pub ieee64: u64,
    pub ieee16: u16,
}

/// A layer 2 address.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub struct mg_l2addr {
    pub addr: mg_l2addr_bytes,
}

/// Ethernet: the VLAN of the frames; 0 for none.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub struct eth_data {
    pub vlan_id: u16,
}

/// PPPoE: the Ethernet underneath.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub struct pppoe_data {
    pub eth: eth_data,
}

/// Settings of layer 2.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub union mg_l2data {
    pub eth: eth_data,
    pub pppoe: pppoe_data,
}

/// Receives the events of an interface, MG_TCPIP_EV_*, with their data.
pub type mg_tcpip_event_handler_t = Option<unsafe extern "C" fn(ifp: *mut mg_tcpip_if, ev: c_int, ev_data: *mut c_void)>;

/// A network driver: four functions of the application. They must not call the library, except for mg_tcpip_qwrite and mg_queue_*.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_tcpip_driver {
    /// Starts the hardware; may change `ifp->mac` and `ifp->recv_queue.size`. Returns false on failure. May be NULL.
    pub init: Option<unsafe extern "C" fn(*mut mg_tcpip_if) -> bool>,
    /// Sends a frame of 60 or more bytes, without FCS. Returns its length, 0 if the hardware is busy, or (size_t) -1 on failure.
    pub tx: Option<unsafe extern "C" fn(*const c_void, usize, *mut mg_tcpip_if) -> usize>,
    /// Receives one frame and returns its length, or 0 if there is none. NULL if the driver calls mg_tcpip_qwrite instead.
    pub rx: Option<unsafe extern "C" fn(*mut c_void, usize, *mut mg_tcpip_if) -> usize>,
    /// Returns the state of the link. Only the result for a true argument counts, once a second. NULL means always up.
    pub poll: Option<unsafe extern "C" fn(*mut mg_tcpip_if, bool) -> bool>,
}
layout!(mg_tcpip_driver, 32, init @ 0, tx @ 8, rx @ 16, poll @ 24);

/// A network interface. Zero-initialise it, set members as needed, and call mg_tcpip_init. Addresses are in network byte order.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_tcpip_if {
    /// The first 6 bytes are the MAC address; zeros mean a random one.
    pub mac: [u8; 8],
    /// IPv4 address; 0: from a DHCP server.
    pub ip: u32,
    pub mask: u32,
    /// Default gateway.
    pub gw: u32,
    /// Internal: buffer for outgoing frames.
    pub tx: mg_str,
    pub enable_dhcp_client: bool,
    /// DHCP server with one address to assign.
    pub enable_dhcp_server: bool,
    /// The client of the DHCP server becomes the gateway.
    pub enable_get_gateway: bool,
    /// Request a DNS server from the DHCP server.
    pub enable_req_dns: bool,
    /// Request a time server from the DHCP server.
    pub enable_req_sntp: bool,
    /// Received frames end with an FCS, which is checked.
    pub enable_fcs_check: bool,
    /// Drop frames for other addresses, including multicast.
    pub enable_mac_check: bool,
    /// Set when a multicast group was joined; the driver clears it.
    pub update_mac_hash_table: bool,
    /// The address has changed.
    pub is_ip_changed: bool,
    pub driver: *mut mg_tcpip_driver,
    /// Free for the driver.
    pub driver_data: *mut c_void,
    /// Event handler of the driver, called before `fn`.
    pub pfn: mg_tcpip_event_handler_t,
    /// Event handler of the application.
    pub r#fn: mg_tcpip_event_handler_t,
    pub mgr: *mut mg_mgr,
    /// Received frames. `size` 0 means the default.
    pub recv_queue: mg_queue,
    /// Host name sent to the DHCP server.
    pub dhcp_name: [c_char; MG_TCPIP_DHCPNAME_SIZE],
    /// Largest IP packet; may be lowered after mg_tcpip_init.
    pub mtu: u16,
    /// Largest frame.
    pub framesize: u16,
    /// The MTU of layer 2.
    pub l2mtu: u16,
    /// Link-local address.
    #[cfg(feature = "tcpip-ipv6")]
    pub ip6ll: [u64; 2],
    /// Global address.
    #[cfg(feature = "tcpip-ipv6")]
    pub ip6: [u64; 2],
    #[cfg(feature = "tcpip-ipv6")]
    pub prefix: [u8; 8],
    #[cfg(feature = "tcpip-ipv6")]
    pub prefix_len: u8,
    /// Default router.
    #[cfg(feature = "tcpip-ipv6")]
    pub gw6: [u64; 2],
    /// The global address comes from a router.
    #[cfg(feature = "tcpip-ipv6")]
    pub enable_slaac: bool,
    #[cfg(feature = "tcpip-ipv6")]
    pub enable_dhcp6_client: bool,
    #[cfg(feature = "tcpip-ipv6")]
    pub is_ip6_changed: bool,
    /// The gateway's MAC address, once known.
    pub gwmac: [u8; 8],
    pub l2type: mg_l2type,
    pub l2data: mg_l2data,
    /// The DNS server that DHCP named.
    pub dns4_url: *mut c_char,
    /// Time of this poll.
    pub now: u64,
    pub timer_1000ms: u64,
    /// When the lease expires.
    pub lease_expire: u64,
    /// Next client port.
    pub eport: u16,
    /// Frames dropped, received, sent, and errors.
    pub ndrop: u32,
    pub nrecv: u32,
    pub nsent: u32,
    pub nerr: u32,
    /// MG_TCPIP_STATE_*.
    pub state: u8,
    pub gw_ready: bool,
    #[cfg(feature = "tcpip-ipv6")]
    pub gw6mac: [u8; 8],
    /// MG_TCPIP_STATE_* of IPv6.
    #[cfg(feature = "tcpip-ipv6")]
    pub state6: u8,
    #[cfg(feature = "tcpip-ipv6")]
    pub gw6_ready: bool,
}

/// Access to a chip on a serial bus.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_tcpip_spi {
    pub spi: *mut c_void,
    pub begin: Option<unsafe extern "C" fn(*mut c_void)>,
    pub end: Option<unsafe extern "C" fn(*mut c_void)>,
    pub txn: Option<unsafe extern "C" fn(*mut c_void, *mut u8, *mut u8, usize)>,
}
layout!(mg_tcpip_spi, 32, spi @ 0, begin @ 8, end @ 16, txn @ 24);

pub const MG_PHY_LEDS_ACTIVE_HIGH: c_int = 1;
pub const MG_PHY_CLOCKS_MAC: c_int = 2;
pub const MG_PHY_SPEED_10M: c_int = 0;
pub const MG_PHY_SPEED_100M: c_int = 1;
pub const MG_PHY_SPEED_1000M: c_int = 2;

/// Access to the registers of an Ethernet PHY.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_phy {
    pub read_reg: Option<unsafe extern "C" fn(addr: u8, reg: u8) -> u16>,
    pub write_reg: Option<unsafe extern "C" fn(addr: u8, reg: u8, value: u16)>,
}
layout!(mg_phy, 16, read_reg @ 0, write_reg @ 8);

const _: () = {
    assert!(size_of::<mg_l2addr>() == 8 && align_of::<mg_l2addr>() == 1);
    assert!(size_of::<mg_l2data>() == 2 && align_of::<mg_l2data>() == 1);
};

/// Asserts the layout of the interface where it is the published ABI.
macro_rules! interface {
    ($cfg:meta, $size:literal $(, $f:ident @ $ofs:literal)* $(,)?) => {
        #[cfg($cfg)]
        const _: () = {
            assert!(size_of::<mg_tcpip_if>() == $size);
            $(assert!(core::mem::offset_of!(mg_tcpip_if, $f) == $ofs);)*
        };
    };
}
interface!(all(target_arch = "x86_64", not(feature = "tcpip-ipv6")), 224, mac @ 0, ip @ 8, mask @ 12, gw @ 16, tx @ 24, enable_dhcp_client @ 40, enable_dhcp_server @ 41, enable_get_gateway @ 42, enable_req_dns @ 43, enable_req_sntp @ 44, enable_fcs_check @ 45, enable_mac_check @ 46, update_mac_hash_table @ 47, is_ip_changed @ 48, driver @ 56, driver_data @ 64, pfn @ 72, r#fn @ 80, mgr @ 88, recv_queue @ 96, dhcp_name @ 128, mtu @ 146, framesize @ 148, l2mtu @ 150, gwmac @ 152, l2type @ 160, l2data @ 164, dns4_url @ 168, now @ 176, timer_1000ms @ 184, lease_expire @ 192, eport @ 200, ndrop @ 204, nrecv @ 208, nsent @ 212, nerr @ 216, state @ 220, gw_ready @ 221);
interface!(all(target_arch = "x86_64", feature = "tcpip-ipv6"), 304, mac @ 0, ip @ 8, mask @ 12, gw @ 16, tx @ 24, enable_dhcp_client @ 40, enable_dhcp_server @ 41, enable_get_gateway @ 42, enable_req_dns @ 43, enable_req_sntp @ 44, enable_fcs_check @ 45, enable_mac_check @ 46, update_mac_hash_table @ 47, is_ip_changed @ 48, driver @ 56, driver_data @ 64, pfn @ 72, r#fn @ 80, mgr @ 88, recv_queue @ 96, dhcp_name @ 128, mtu @ 146, framesize @ 148, l2mtu @ 150, ip6ll @ 152, ip6 @ 168, prefix @ 184, prefix_len @ 192, gw6 @ 200, enable_slaac @ 216, enable_dhcp6_client @ 217, is_ip6_changed @ 218, gwmac @ 219, l2type @ 228, l2data @ 232, dns4_url @ 240, now @ 248, timer_1000ms @ 256, lease_expire @ 264, eport @ 272, ndrop @ 276, nrecv @ 280, nsent @ 284, nerr @ 288, state @ 292, gw_ready @ 293, gw6mac @ 294, state6 @ 302, gw6_ready @ 303);
interface!(all(target_arch = "arm", target_os = "none", not(feature = "tcpip-ipv6")), 168, mac @ 0, ip @ 8, mask @ 12, gw @ 16, tx @ 20, enable_dhcp_client @ 28, enable_dhcp_server @ 29, enable_get_gateway @ 30, enable_req_dns @ 31, enable_req_sntp @ 32, enable_fcs_check @ 33, enable_mac_check @ 34, update_mac_hash_table @ 35, is_ip_changed @ 36, driver @ 40, driver_data @ 44, pfn @ 48, r#fn @ 52, mgr @ 56, recv_queue @ 60, dhcp_name @ 76, mtu @ 94, framesize @ 96, l2mtu @ 98, gwmac @ 100, l2type @ 108, l2data @ 109, dns4_url @ 112, now @ 120, timer_1000ms @ 128, lease_expire @ 136, eport @ 144, ndrop @ 148, nrecv @ 152, nsent @ 156, nerr @ 160, state @ 164, gw_ready @ 165);
interface!(all(target_arch = "arm", target_os = "none", feature = "tcpip-ipv6"), 248, mac @ 0, ip @ 8, mask @ 12, gw @ 16, tx @ 20, enable_dhcp_client @ 28, enable_dhcp_server @ 29, enable_get_gateway @ 30, enable_req_dns @ 31, enable_req_sntp @ 32, enable_fcs_check @ 33, enable_mac_check @ 34, update_mac_hash_table @ 35, is_ip_changed @ 36, driver @ 40, driver_data @ 44, pfn @ 48, r#fn @ 52, mgr @ 56, recv_queue @ 60, dhcp_name @ 76, mtu @ 94, framesize @ 96, l2mtu @ 98, ip6ll @ 104, ip6 @ 120, prefix @ 136, prefix_len @ 144, gw6 @ 152, enable_slaac @ 168, enable_dhcp6_client @ 169, is_ip6_changed @ 170, gwmac @ 171, l2type @ 179, l2data @ 180, dns4_url @ 184, now @ 192, timer_1000ms @ 200, lease_expire @ 208, eport @ 216, ndrop @ 220, nrecv @ 224, nsent @ 228, nerr @ 232, state @ 236, gw_ready @ 237, gw6mac @ 238, state6 @ 246, gw6_ready @ 247);
interface!(all(target_arch = "arm", target_os = "linux", not(feature = "tcpip-ipv6")), 168, mac @ 0, ip @ 8, mask @ 12, gw @ 16, tx @ 20, enable_dhcp_client @ 28, enable_dhcp_server @ 29, enable_get_gateway @ 30, enable_req_dns @ 31, enable_req_sntp @ 32, enable_fcs_check @ 33, enable_mac_check @ 34, update_mac_hash_table @ 35, is_ip_changed @ 36, driver @ 40, driver_data @ 44, pfn @ 48, r#fn @ 52, mgr @ 56, recv_queue @ 60, dhcp_name @ 76, mtu @ 94, framesize @ 96, l2mtu @ 98, gwmac @ 100, l2type @ 108, l2data @ 112, dns4_url @ 116, now @ 120, timer_1000ms @ 128, lease_expire @ 136, eport @ 144, ndrop @ 148, nrecv @ 152, nsent @ 156, nerr @ 160, state @ 164, gw_ready @ 165);
interface!(all(target_arch = "arm", target_os = "linux", feature = "tcpip-ipv6"), 248, mac @ 0, ip @ 8, mask @ 12, gw @ 16, tx @ 20, enable_dhcp_client @ 28, enable_dhcp_server @ 29, enable_get_gateway @ 30, enable_req_dns @ 31, enable_req_sntp @ 32, enable_fcs_check @ 33, enable_mac_check @ 34, update_mac_hash_table @ 35, is_ip_changed @ 36, driver @ 40, driver_data @ 44, pfn @ 48, r#fn @ 52, mgr @ 56, recv_queue @ 60, dhcp_name @ 76, mtu @ 94, framesize @ 96, l2mtu @ 98, ip6ll @ 104, ip6 @ 120, prefix @ 136, prefix_len @ 144, gw6 @ 152, enable_slaac @ 168, enable_dhcp6_client @ 169, is_ip6_changed @ 170, gwmac @ 171, l2type @ 180, l2data @ 184, dns4_url @ 188, now @ 192, timer_1000ms @ 200, lease_expire @ 208, eport @ 216, ndrop @ 220, nrecv @ 224, nsent @ 228, nerr @ 232, state @ 236, gw_ready @ 237, gw6mac @ 238, state6 @ 246, gw6_ready @ 247);
