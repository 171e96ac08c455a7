#if MG_ENABLE_TCPIP
// ---- Networking over the application's own driver.
#define MG_TCPIP_STATE_DOWN 0     // no link
#define MG_TCPIP_STATE_LINK_UP 1  // not used with Ethernet
#define MG_TCPIP_STATE_UP 2       // link, no address
#define MG_TCPIP_STATE_REQ 3      // requested the address that a DHCP server has offered
#define MG_TCPIP_STATE_IP 4       // has an address; the gateway has not answered yet
#define MG_TCPIP_STATE_READY 5    // mg_connect works

// Events of an interface, with ev_data.
enum {
  MG_TCPIP_EV_STATE_CHANGE,      // uint8_t *: the new state
  MG_TCPIP_EV_DHCP_DNS,          // uint32_t *: the DNS server from DHCP
  MG_TCPIP_EV_DHCP_SNTP,         // uint32_t *: the time server from DHCP
  MG_TCPIP_EV_ARP,               // struct mg_str *: a received ARP frame
  MG_TCPIP_EV_TIMER_1S,          // NULL: a second has passed
  MG_TCPIP_EV_WIFI_SCAN_RESULT,  // these four are for drivers
  MG_TCPIP_EV_WIFI_SCAN_END,
  MG_TCPIP_EV_WIFI_CONNECT_ERR,
  MG_TCPIP_EV_DRIVER,
  MG_TCPIP_EV_STATE6_CHANGE,     // uint8_t *: the new state of IPv6
  MG_TCPIP_EV_USER               // first event number for applications
};

// Layer 2. The library supports MG_TCPIP_L2_ETH.
enum mg_l2type { MG_TCPIP_L2_ETH = 0, MG_TCPIP_L2_PPP, MG_TCPIP_L2_PPPoE, MG_TCPIP_L2_USER };
enum mg_l2proto {
  MG_TCPIP_L2PROTO_IPV4 = 0,
  MG_TCPIP_L2PROTO_IPV6,
  MG_TCPIP_L2PROTO_ARP,
  MG_TCPIP_L2PROTO_PPPoE_DISC,
  MG_TCPIP_L2PROTO_PPPoE_SESS
};
enum mg_l2addrtype { MG_TCPIP_L2ADDR_BCAST, MG_TCPIP_L2ADDR_MCAST, MG_TCPIP_L2ADDR_MCAST6 };

#pragma pack(push, 1)
struct mg_l2addr {
  union {
    uint8_t mac[6];
    uint64_t ieee64;
    uint16_t ieee16;
  } addr;
};

struct eth_data {
  uint16_t vlan_id;  // 0: none
};

struct pppoe_data {
  struct eth_data eth;
};

union mg_l2data {
  struct eth_data eth;
  struct pppoe_data pppoe;
};
#pragma pack(pop)

typedef void (*mg_tcpip_event_handler_t)(struct mg_tcpip_if *ifp, int ev, void *ev_data);

// A network driver. Its functions must not call the library, except for mg_tcpip_qwrite and mg_queue_*.
struct mg_tcpip_driver {
  bool (*init)(struct mg_tcpip_if *);                         // false: failure; may be NULL
  size_t (*tx)(const void *, size_t, struct mg_tcpip_if *);   // length: sent; 0: busy; (size_t) -1: failure
  size_t (*rx)(void *buf, size_t len, struct mg_tcpip_if *);  // length of one frame, 0: none; NULL: frames arrive by mg_tcpip_qwrite
  bool (*poll)(struct mg_tcpip_if *, bool);                   // link state, if the argument is true: once a second; NULL: always up
};

// A network interface. Zero-initialise it, set members as needed, and call mg_tcpip_init. Addresses are in network byte order.
struct mg_tcpip_if {
  uint8_t mac[8];              // the first 6; zeros: a random one
  uint32_t ip, mask, gw;       // ip 0: from a DHCP server
  struct mg_str tx;            // internal: buffer for outgoing frames
  bool enable_dhcp_client;     // set by mg_tcpip_init when ip is 0
  bool enable_dhcp_server;     // assigns one client the address after the interface's
  bool enable_get_gateway;     // that client becomes the gateway
  bool enable_req_dns;         // ask DHCP for a DNS server
  bool enable_req_sntp;        // ask DHCP for a time server
  bool enable_fcs_check;       // received frames end with an FCS, which is checked
  bool enable_mac_check;       // drop frames for other addresses, and multicast
  bool update_mac_hash_table;  // a group was joined; the driver clears it
  bool is_ip_changed;
  struct mg_tcpip_driver *driver;
  void *driver_data;               // free for the driver
  mg_tcpip_event_handler_t pfn;    // of the driver, called before fn
  mg_tcpip_event_handler_t fn;     // gets the events
  struct mg_mgr *mgr;              // set by mg_tcpip_init
  struct mg_queue recv_queue;      // size 0: 8192 for a driver without rx
  char dhcp_name[MG_TCPIP_DHCPNAME_SIZE];
  uint16_t mtu;                    // may be lowered after mg_tcpip_init
  uint16_t framesize;
  uint16_t l2mtu;
#if MG_ENABLE_IPV6
  uint64_t ip6ll[2], ip6[2];       // link-local, global; zeros: derived from the MAC address and from router advertisements
  uint8_t prefix[8];
  uint8_t prefix_len;
  uint64_t gw6[2];
  bool enable_slaac;
  bool enable_dhcp6_client;        // no effect
  bool is_ip6_changed;
#endif
  uint8_t gwmac[8];                // of the gateway, when gw_ready
  enum mg_l2type l2type;
  union mg_l2data l2data;
  char *dns4_url;                  // the DNS server from DHCP
  uint64_t now;                    // of the current poll
  uint64_t timer_1000ms;
  uint64_t lease_expire;           // in the time of mg_millis
  uint16_t eport;                  // next port of a client
  volatile uint32_t ndrop, nrecv, nsent, nerr;
  uint8_t state;                   // MG_TCPIP_STATE_*
  bool gw_ready;
#if MG_ENABLE_IPV6
  uint8_t gw6mac[8];
  uint8_t state6;
  bool gw6_ready;
#endif
};

// For drivers of chips on a serial bus; the library does not use it.
struct mg_tcpip_spi {
  void *spi;
  void (*begin)(void *);
  void (*end)(void *);
  void (*txn)(void *, uint8_t *, uint8_t *, size_t len);
};

// Access to the registers of an Ethernet PHY, for mg_phy_init and mg_phy_up.
struct mg_phy {
  uint16_t (*read_reg)(uint8_t addr, uint8_t reg);
  void (*write_reg)(uint8_t addr, uint8_t reg, uint16_t value);
};
enum { MG_PHY_LEDS_ACTIVE_HIGH = 1, MG_PHY_CLOCKS_MAC = 2 };
enum { MG_PHY_SPEED_10M, MG_PHY_SPEED_100M, MG_PHY_SPEED_1000M };
#endif

