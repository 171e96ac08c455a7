// A driver for the LAN9118 Ethernet controller.

#include "board.h"

#define REG(offset) MG_REG(board_ethernet() + (offset))
enum {
  RX_DATA = 0x00,
  TX_DATA = 0x20,
  RX_STATUS = 0x40,
  TX_STATUS = 0x48,
  RX_CFG = 0x6c,
  TX_CFG = 0x70,
  HW_CFG = 0x74,
  RX_FIFO_INF = 0x7c,
  TX_FIFO_INF = 0x80,
  MAC_CMD = 0xa4,
  MAC_DATA = 0xa8,
};
// Registers behind MAC_CMD
enum { MAC_CR = 1, MAC_ADDRH = 2, MAC_ADDRL = 3 };

static void mac_write(uint32_t reg, uint32_t value) {
  while (REG(MAC_CMD) & MG_BIT(31)) (void) 0;
  REG(MAC_DATA) = value;
  REG(MAC_CMD) = MG_BIT(31) | reg;
  while (REG(MAC_CMD) & MG_BIT(31)) (void) 0;
}

static bool init(struct mg_tcpip_if *ifp) {
  const uint8_t *mac = ifp->mac;
  REG(HW_CFG) = 1;  // reset
  while (REG(HW_CFG) & 1) (void) 0;
  REG(HW_CFG) = MG_BIT(20) | 5 << 16;  // store and forward; 5 KB for sending
  mac_write(MAC_ADDRL, mac[0] | (uint32_t) mac[1] << 8 | (uint32_t) mac[2] << 16 | (uint32_t) mac[3] << 24);
  mac_write(MAC_ADDRH, mac[4] | (uint32_t) mac[5] << 8);
  REG(TX_CFG) = 2;
  REG(RX_CFG) = 0;
  mac_write(MAC_CR, MG_BIT(20) | MG_BIT(3) | MG_BIT(2));  // full duplex, transmitter, receiver
  return true;
}

static size_t tx(const void *buf, size_t len, struct mg_tcpip_if *ifp) {
  const uint8_t *p = (const uint8_t *) buf;
  if ((REG(TX_FIFO_INF) & 0xffff) < len + 12) return 0;  // no room
  REG(TX_DATA) = MG_BIT(13) | MG_BIT(12) | (uint32_t) len;  // first and last segment
  REG(TX_DATA) = (uint32_t) len;
  for (size_t at = 0; at < len; at += 4) {
    uint32_t word = 0;
    memcpy(&word, p + at, len - at < 4 ? len - at : 4);
    REG(TX_DATA) = word;
  }
  while ((REG(TX_FIFO_INF) >> 16) & 0xff) (void) REG(TX_STATUS);
  (void) ifp;
  return len;
}

static size_t rx(void *buf, size_t len, struct mg_tcpip_if *ifp) {
  uint8_t *p = (uint8_t *) buf;
  uint32_t status;
  size_t n;
  if (((REG(RX_FIFO_INF) >> 16) & 0xff) == 0) return 0;
  status = REG(RX_STATUS);
  n = (status >> 16) & 0x3fff;
  for (size_t at = 0; at < n; at += 4) {
    uint32_t word = REG(RX_DATA);
    if (at < len) memcpy(p + at, &word, len - at < 4 ? len - at : 4);
  }
  (void) ifp;
  if ((status & MG_BIT(15)) || n < 4 || n - 4 > len) return 0;  // damaged, or too long
  return n - 4;                                                 // without the checksum
}

static bool poll(struct mg_tcpip_if *ifp, bool second) {
  (void) ifp, (void) second;
  return true;  // the cable is always in
}

struct mg_tcpip_driver lan9118_driver = {init, tx, rx, poll};
