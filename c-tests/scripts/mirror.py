"""A server whose answers are the requests as they arrived: head and body, chunks included. Prints its port."""

import signal
import socketserver
import sys


class Mirror(socketserver.StreamRequestHandler):
    def handle(self):
        while self.one():
            pass

    def one(self):
        request = self.head()
        lines = request.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        request += self.rfile.read(length)
        if b"transfer-encoding: chunked" in lines:
            while not request.endswith(b"0\r\n\r\n"):
                request += self.rfile.readline()
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-End: 2\r\nX-Last: 3\r\nX-Empty:\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(request), request)
        )
        return bool(lines[0])

    def head(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return b""
            head += line
        return head


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Mirror)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("port:", server.server_address[1], flush=True)
server.serve_forever()
