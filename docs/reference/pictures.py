"""Takes the pictures in docs: the page of `make serve` under some load, and the front page of the reference.

usage: pictures.py HTTP_SERVER HTML_DIRECTORY
"""

import os
import subprocess
import sys
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE + "/../../c-tests/scripts")
from browser import Browser  # noqa: E402


def load(url, until):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.time() < until:
        opener.open(url + "api/hello?name=Ann").read()
        # Waves, so that there is something to see.
        time.sleep(0.004 + 0.02 * abs((time.time() / 5) % 2 - 1))


def show(page, path, height, out, theme="light"):
    page.call("Emulation.setDeviceMetricsOverride", width=1100, height=height, deviceScaleFactor=1, mobile=False)
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    page.call("Page.navigate", url=path)
    page.until("document.readyState == 'complete' && location.href != 'about:blank'")
    return lambda: page.picture(out)


server = subprocess.Popen([sys.argv[1], "-l", "http://127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
try:
    url = "http://127.0.0.1:%s/" % server.stdout.readline().strip().rsplit(":", 1)[1]
    with Browser() as browser:
        page = browser.open(url)
        take = show(page, url, 880, HERE + "/../serve.png")
        threads = [threading.Thread(target=load, args=(url, time.time() + 50)) for _ in range(3)]
        for t in threads:
            t.start()
        page.until("true")
        time.sleep(48)
        take()
        for t in threads:
            t.join()
        front = browser.open("file://%s/index.html" % os.path.abspath(sys.argv[2]))
        show(front, "file://%s/index.html" % os.path.abspath(sys.argv[2]), 880, HERE + "/../reference.png")()
finally:
    server.terminate()
    server.wait()
