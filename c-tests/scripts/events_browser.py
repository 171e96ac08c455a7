"""Two pages of a stream of events: ticks come to both, and what one says appears on the other. When the server leaves, they notice.

usage: events_browser.py HOST PORT PID
"""

import os
import signal
import sys

from browser import Browser, dark

HOST, PORT, PID = sys.argv[1:]
TEXTS = "JSON.stringify([...document.querySelectorAll('#messages li')].map(e => e.textContent))"

with Browser() as browser:
    pages = [browser.open("http://%s:%s/" % (HOST, PORT)) for _ in range(2)]
    for page in pages:
        page.until("document.getElementById('listeners').textContent == '2'")
        assert page.value("document.getElementById('state').textContent") == "connected"
    pages[0].type("#text", "Good morning \u20ac <b>")
    pages[0].click("#form button")
    pages[1].until(TEXTS + " == JSON.stringify(['Good morning \\u20ac <b>'])")
    pages[1].type("#text", "second")
    pages[1].click("#form button")
    for page in pages:
        page.until("document.querySelectorAll('#messages li').length == 2")
    box = pages[1].box("#messages")
    assert pages[1].picture("after.png").share(box, dark) > 0.005
    os.kill(int(PID), signal.SIGTERM)
    for page in pages:
        page.until("document.getElementById('state').textContent == 'disconnected'")
