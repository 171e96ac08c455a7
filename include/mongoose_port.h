// What a library built with the feature `port` needs from the sockets of a system: the functions below. They are compiled with the SDK
// of the firmware, and linked with the library. port/bsd_sockets.c implements them over BSD sockets, such as those of lwIP; copy it, or
// write your own. See docs/firmware.md.
//
// Conventions
//   Calls      Every function returns at once, whatever its socket is doing. Only mgx_port_wait and mgx_port_sleep wait.
//   Sockets    A socket is a number from 0 on. The library keeps a table indexed by it: use small numbers. A stack whose sockets are
//              pointers needs an array of them in its port.
//   Results    0, a number of bytes or a socket; or one of the negative numbers below. They are the library's own, because values of
//              errno differ from system to system.
//   Threads    The thread that polls a manager, and others that call the library meanwhile, one at a time per manager. While one is in
//              mgx_port_wait, another may call the other functions on other sockets, and mgx_port_ring. With several managers in
//              several threads, calls overlap. None is called from interrupts or signal handlers.
//   Memory     The library keeps no pointer that it passes, and the port none that it gets, after a function has returned.
//   Units      Times are in milliseconds, sizes in bytes.

#ifndef MONGOOSE_PORT_H
#define MONGOOSE_PORT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---- Results

// Not an error: nothing has arrived, nobody waits to be accepted, there is no room to send, or connecting has begun.
#define MGX_PORT_AGAIN (-1)
// Any error that is not below.
#define MGX_PORT_FAILED (-2)
#define MGX_PORT_INVALID (-3)          // an argument, or a call that this socket does not have now
#define MGX_PORT_NO_MEMORY (-4)        // also of the stack's own memory: buffers, pools
#define MGX_PORT_TOO_MANY (-5)         // no more sockets
#define MGX_PORT_UNSUPPORTED (-6)      // no IPv6, no such option
#define MGX_PORT_IN_USE (-7)           // by another listener
#define MGX_PORT_NO_SUCH_ADDRESS (-8)  // not an address of this machine
#define MGX_PORT_NO_NETWORK (-9)       // no route to it, or no link
#define MGX_PORT_NO_HOST (-10)         // nobody there
#define MGX_PORT_REFUSED (-11)         // nobody listens
#define MGX_PORT_RESET (-12)           // the peer has ended the connection
#define MGX_PORT_TIMEOUT (-13)         // the peer does not answer
#define MGX_PORT_NOT_CONNECTED (-14)   // not yet, or no longer
#define MGX_PORT_TOO_LONG (-15)        // a datagram
#define MGX_PORT_DENIED (-16)          // this program may not

// ---- Addresses

struct mgx_port_addr {
  uint8_t ip[16];  // as in a packet. IPv4: the first 4 bytes, and the others are 0
  uint16_t port;   // as a number: 80 for HTTP
  uint8_t scope;   // IPv6: the number of an interface, or 0
  uint8_t is_ip6;  // 1 for IPv6, 0 for IPv4
};

// ---- Sockets

// A new socket: TCP, or UDP if `udp` is 1; for IPv4, or for IPv6 if `ip6` is 1. The socket, or an error.
int mgx_port_open(int ip6, int udp);

// Closes a socket. TCP: what was sent still arrives, and a FIN follows it; nothing waits for that. After MGX_PORT_ABORT the peer gets a
// RST instead.
void mgx_port_close(int sock);

// Options for mgx_port_set.
#define MGX_PORT_STREAM 1         // 1: no Nagle delay, and keep-alive probes. Set on listeners too, for those they accept
#define MGX_PORT_REUSE_ADDR 2     // 1: binding is possible although connections of an earlier listener still exist
#define MGX_PORT_REUSE_PORT 3     // 1: several sockets may be bound to one port
#define MGX_PORT_V6ONLY 4         // 1: not for IPv4; 0: if the stack can, a listener for [::] accepts IPv4, too
#define MGX_PORT_TOS 5            // the byte of type of service, or traffic class
#define MGX_PORT_JOIN 6           // IPv4 group to join on any interface, as 4 bytes in network byte order
#define MGX_PORT_MULTICAST_TTL 7  // routers that a datagram to a group may pass
#define MGX_PORT_ABORT 8          // 1: closing sends a RST and discards what was not sent

// Sets an option. 0 or an error. The library goes on without an option that is not supported.
int mgx_port_set(int sock, int option, int value);

// Binds to an address. Port 0: one that is free. 0 or an error.
int mgx_port_bind(int sock, const struct mgx_port_addr *addr);

// Makes a bound TCP socket a listener for at most `backlog` connections that wait. 0 or an error.
int mgx_port_listen(int sock, int backlog);

// Takes a connection from a listener. The new socket, and where it comes from in `*peer`; or MGX_PORT_AGAIN when none waits, or an
// error. A connection that has failed while it waited is skipped.
int mgx_port_accept(int sock, struct mgx_port_addr *peer);

// TCP: begins to connect: 0 if that is done at once, else MGX_PORT_AGAIN, and the socket becomes writable when connected. When that
// fails, it becomes readable, writable or failed, and mgx_port_error says why. UDP: sets whom mgx_port_send sends to and
// mgx_port_recv receives from.
int mgx_port_connect(int sock, const struct mgx_port_addr *addr);

// Sends at most `len` bytes, at least 1. The number of bytes taken, MGX_PORT_AGAIN if there is no room, or an error. `more` is 1 if more
// follows at once, so that a packet that is not full may wait.
int mgx_port_send(int sock, const void *buf, size_t len, int more);

// Receives at most `len` bytes. Their number; 0: the peer sends no more; MGX_PORT_AGAIN if nothing has arrived; or an error.
int mgx_port_recv(int sock, void *buf, size_t len);

// UDP: sends one datagram. `len`, MGX_PORT_AGAIN, or an error.
int mgx_port_send_to(int sock, const void *buf, size_t len, const struct mgx_port_addr *to);

// UDP: receives one datagram, of which what is behind `len` bytes is lost. The number of bytes in `buf`, MGX_PORT_AGAIN, or an error.
int mgx_port_recv_from(int sock, void *buf, size_t len, struct mgx_port_addr *from);

// TCP: a FIN follows what was sent. Receiving goes on. 0 or an error.
int mgx_port_shutdown(int sock);

// The address of this side, and of the other. 0 or an error; MGX_PORT_NOT_CONNECTED for a peer that is not there.
int mgx_port_local(int sock, struct mgx_port_addr *addr);
int mgx_port_peer(int sock, struct mgx_port_addr *addr);

// Why a socket failed, once: 0 or an error.
int mgx_port_error(int sock);

// TCP: how many of the bytes sent the peer has not acknowledged, so that a peer that reads slowly is not taken for one that does not
// read; MGX_PORT_UNSUPPORTED if the stack does not say.
int mgx_port_unsent(int sock);

// ---- Waiting

#define MGX_PORT_READ 1   // mgx_port_recv or mgx_port_accept does not say MGX_PORT_AGAIN
#define MGX_PORT_WRITE 2  // there is room to send, or connecting has ended
#define MGX_PORT_FAIL 4   // mgx_port_error has something to say
#define MGX_PORT_GONE 8   // the connection does not exist any more: nothing can be sent or will arrive

struct mgx_port_item {
  int sock;
  uint8_t want;  // MGX_PORT_READ and MGX_PORT_WRITE, as a sum; 0: only what is told without asking
  uint8_t got;   // 0 before the call. MGX_PORT_FAIL and MGX_PORT_GONE are told without being wanted, if the system knows
};

// Waits until there is something for at least one of `count` items, or `ms` have passed (-1: no limit, 0: does not wait), and sets
// `got`. It may return earlier, without anything. There is always at least one item, and one of them is a doorbell. What is wanted and
// true already ends the wait at once: the library asks for nothing that it was told and has not used yet.
void mgx_port_wait(struct mgx_port_item *items, int count, int ms);

// A doorbell: a socket that becomes readable when mgx_port_ring is called, and stays so until mgx_port_quiet. One per manager, closed
// with mgx_port_close. The socket, or an error.
int mgx_port_doorbell(void);

// Any thread may call it, also when a doorbell rings already. 0 or an error.
int mgx_port_ring(int doorbell);

void mgx_port_quiet(int doorbell);

// ---- Threads

// What tells the calling thread (task) from all others that exist, never 0. Without threads: 1.
uintptr_t mgx_port_thread(void);

// Sleeps for about `ms`, at least one tick, so that threads of lower priority can run.
void mgx_port_sleep(uint32_t ms);

#ifdef __cplusplus
}
#endif

#endif
