"""Connects and closes, over and over. From several addresses, because a closed connection keeps its port for a minute."""

import socket
import sys

from wire import HOST, PORT, settle

for i in range(int(sys.argv[3])):
    if i % 100 == 0:
        settle()  # else the listen queue may overflow, and a connection then takes a second
    socket.create_connection((HOST, PORT), timeout=20, source_address=("127.0.0.%d" % (i % 10 + 2), 0)).close()
settle()
