"""The reference in a browser: the front page, the search, dark and narrow. Writes front.png.

usage: docs_browser.py HTML_DIRECTORY
"""

import os
import sys

from browser import Browser, dark

ROOT = "file://" + os.path.abspath(sys.argv[1]) + "/"


def fits(page, width):
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
    page.until("innerWidth == %d" % width)
    return page.value("document.documentElement.scrollWidth <= innerWidth")


with Browser() as browser:
    page = browser.open(ROOT + "index.html")
    for path in ("index.html", "area-http.html", "MG_EV_HTTP_MSG.html", "differences.html", "names.html", "example-http-server-c.html"):
        page.call("Page.navigate", url=ROOT + path)
        page.until("document.readyState == 'complete' && location.pathname.endsWith(%r)" % path)
        assert fits(page, 360), path + " is too wide for a telephone"
        page.until("!document.querySelector('.nav').open")
        assert fits(page, 1280), path
        page.until("document.querySelector('.nav').open")
        assert page.value("document.querySelectorAll('main h1').length") == 1, path
    page.call("Page.navigate", url=ROOT + "index.html")
    page.until("document.readyState == 'complete' && location.pathname.endsWith('index.html') && document.querySelector('.nav').open")
    picture = page.picture("front.png")
    assert (picture.width, picture.height) == (1280, 900)
    assert picture.share(page.box("h1"), dark) > 0.005
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    r, g, b = page.picture("dark.png").colour(1200, 890)
    assert r + g + b < 200, (r, g, b)
    # Searching by hand, with the keyboard alone.
    page.call("Input.dispatchKeyEvent", type="keyDown", key="/", text="/")
    page.until("document.activeElement.id == 'search'")
    page.call("Input.insertText", text="http_reply")
    page.until("document.querySelector('#found [aria-selected=true] a').textContent.startsWith('mg_http_reply ')")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Enter")
    page.until("location.href.endsWith('area-http.html#mg_http_reply')")
    page.until("document.readyState == 'complete' && document.getElementById('mg_http_reply') != null")
    page.until("Math.abs(document.getElementById('mg_http_reply').getBoundingClientRect().top) < 200")
print("docs in a browser: ok")
