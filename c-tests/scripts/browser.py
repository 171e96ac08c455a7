"""Chromium without a screen, told over its DevTools protocol to open pages, click, type and take pictures."""

import base64
import itertools
import json
import os
import struct
import subprocess
import tempfile
import time
import zlib

from websockets.sync.client import connect

WIDTH, HEIGHT = 640, 400


class Browser:
    def __init__(self):
        self.home = tempfile.TemporaryDirectory(dir=".", ignore_cleanup_errors=True)
        home = os.path.abspath(self.home.name)
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--hide-scrollbars"]
        self.process = subprocess.Popen(
            ["chromium", *flags, "--remote-debugging-port=0", "--user-data-dir=" + home],
            env={**os.environ, "HOME": home}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        try:
            self.ws = wait(lambda: reach(home + "/DevToolsActivePort"), 40, "the browser")
        except BaseException:
            self.__exit__()
            raise
        self.numbers = itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.home.cleanup()

    def call(self, method, session=None, **params):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        self.ws.send(json.dumps({**message, "sessionId": session} if session else message))
        while True:
            answer = json.loads(self.ws.recv(timeout=40))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url):
        """A page that shares nothing with the others, as if in another browser."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        page = Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        page.call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT, deviceScaleFactor=1, mobile=False)
        page.call("Page.navigate", url=url)
        page.until("document.readyState == 'complete' && location.href != 'about:blank'")
        return page


class Page:
    def __init__(self, browser, session):
        self.browser, self.session = browser, session

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, expression):
        return wait(lambda: self.value(expression), 20, expression)

    def box(self, selector):
        """Left, top, width and height of an element."""
        return self.value(
            "(() => { const r = document.querySelector(%r).getBoundingClientRect(); return [r.x, r.y, r.width, r.height]; })()" % selector
        )

    def click(self, selector, part=0.5):
        """Clicks on an element, at this part of its width."""
        x, y, width, height = self.box(selector)
        for kind in ("mousePressed", "mouseReleased"):
            at = {"x": x + width * part, "y": y + height / 2}
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    def type(self, selector, text):
        self.click(selector)
        self.call("Input.insertText", text=text)

    def picture(self, path):
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        with open(path, "wb") as f:
            f.write(data)
        return Picture(data)


class Picture:
    """A PNG file of 8 bits for each of three or four colours."""

    def __init__(self, data):
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        at, packed = 8, b""
        while at < len(data):
            size, kind = struct.unpack(">I4s", data[at : at + 8])
            body = data[at + 8 : at + 8 + size]
            assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0]
            if kind == b"IHDR":
                self.width, self.height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", body)
                assert depth == 8 and colours in (2, 6) and not interlaced
                self.step = 3 if colours == 2 else 4
            elif kind == b"IDAT":
                packed += body
            at += size + 12
        raw, line, self.rows = zlib.decompress(packed), self.width * self.step, []
        above = bytes(line)
        for y in range(self.height):
            how, row = raw[y * (line + 1)], bytearray(raw[y * (line + 1) + 1 : (y + 1) * (line + 1)])
            for i in range(line):
                left, corner = (row[i - self.step], above[i - self.step]) if i >= self.step else (0, 0)
                row[i] = row[i] + (0, left, above[i], (left + above[i]) // 2, paeth(left, above[i], corner))[how] & 255
            self.rows.append(row)
            above = row

    def colour(self, x, y):
        return tuple(self.rows[int(y)][int(x) * self.step : int(x) * self.step + 3])

    def share(self, box, wanted):
        """How much of a box is of colours for which `wanted` holds."""
        x, y, width, height = (round(n) for n in box)
        found = sum(wanted(*self.colour(i, k)) for i in range(x, x + width) for k in range(y, y + height))
        return found / (width * height)


def reach(file):
    """The browser, once it has written the whole file that says where it is, and listens there."""
    lines = open(file).read().split("\n")
    try:
        return len(lines) == 2 and lines[1] and connect("ws://127.0.0.1:%s%s" % tuple(lines), max_size=None, proxy=None)
    except ConnectionRefusedError:
        return None


def paeth(a, b, c):
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    return a if pa <= pb and pa <= pc else b if pb <= pc else c


def dark(r, g, b):
    return r + g + b < 200


def blue(r, g, b):
    return b > 150 and b > r + 60


def wait(what, seconds, text="it"):
    end = time.time() + seconds
    while True:
        try:
            value = what()
            if value:
                return value
        except FileNotFoundError:
            pass
        assert time.time() < end, "timed out waiting for " + text
        time.sleep(0.02)
