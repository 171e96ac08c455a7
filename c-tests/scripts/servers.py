"""Servers for a client to be tried on. Prints the ports of two: Python's own, which speaks HTTP/1.0, and one that answers as its
request's path says. Ends with its standard input."""

import http.server
import socketserver
import sys
import threading
import time

BODY = b"0123456789" * 5000
ANSWERS = {
    "/length": [b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + BODY],
    "/chunked": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n0\r\n", b"c34f\r\n" + BODY[1:] + b"\r\n", b"0\r\n\r\n"],
    "/until-close": [b"HTTP/1.0 200 OK\r\n\r\n" + BODY[:20000], BODY[20000:]],
    "/interim": [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"],
    "/no-content": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "/bytewise": [bytes([b]) for b in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
    "/nothing": [],
    "/garbage": [b"SSH-2.0-nothing\r\n\r\n"],
    "/never": None,
}


class ByPath(socketserver.StreamRequestHandler):
    def handle(self):
        path = self.rfile.readline().split()[1].decode()
        while self.rfile.readline() != b"\r\n":
            pass
        answer = ANSWERS[path]
        if answer is None:
            time.sleep(60)
        for piece in answer:
            self.wfile.write(piece)
            time.sleep(0.002)


class Listing(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


for handler in (Listing, ByPath):
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("port:", server.server_address[1], flush=True)
sys.stdin.read()
