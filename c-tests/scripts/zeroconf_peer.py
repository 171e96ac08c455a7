"""The other side of mdns.sh: finds a service as browsers of services do, or announces one."""

import socket
import sys
import time

from zeroconf import ServiceBrowser, ServiceInfo, ServiceListener, Zeroconf


class Found(ServiceListener):
    def __init__(self):
        self.names = []

    def add_service(self, zc, type_, name):
        self.names.append(name)

    def remove_service(self, zc, type_, name):
        pass

    def update_service(self, zc, type_, name):
        pass


def until(what, condition):
    end = time.monotonic() + 40
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"timed out waiting for {what}")
        time.sleep(0.05)


def find(name, port, text, address):
    type_ = "_http._tcp.local."
    key, value = text.split("=", 1)
    zc = Zeroconf(interfaces=["127.0.0.1"])
    found = Found()
    ServiceBrowser(zc, type_, found)
    whole = f"{name}.{type_}"
    until(whole, lambda: whole in found.names)
    # What came with the first answer, and what is asked for by itself: by one who has heard nothing before.
    other = Zeroconf(interfaces=["127.0.0.1"])
    for zc_of in (zc, other):
        info = zc_of.get_service_info(type_, whole, timeout=20000)
        assert info is not None, "no information"
        got = (info.server, info.port, info.parsed_addresses(), info.properties)
        want = (f"{name}.local.", int(port), [address], {key.encode(): value.encode()})
        assert got == want, f"{got} instead of {want}"
    other.close()
    zc.close()


def announce():
    zc = Zeroconf(interfaces=["127.0.0.1"])
    zc.register_service(
        ServiceInfo("_ipp._tcp.local.", "Peer._ipp._tcp.local.", addresses=[socket.inet_aton("10.5.5.5")], port=631,
                    properties={"a": "b"}, server="peer.local."))
    print("ready", flush=True)
    time.sleep(300)


if __name__ == "__main__":
    {"find": find, "announce": announce}[sys.argv[1]](*sys.argv[2:])
