"""Connects and closes, over and over. Several addresses, because a closed connection keeps its port for a minute."""

import socket
import sys

from wire import PORT, settle

for i in range(int(sys.argv[3])):
    if i % 100 == 0:
        settle()  # else the listen queue may overflow, and a connection then takes a second
    socket.create_connection(("127.0.0.%d" % (i % 10 + 1), PORT), timeout=20).close()
settle()
