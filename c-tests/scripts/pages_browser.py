"""The pages of the examples, as people see them: the counters move, what they serve is linked, draining is watched to its end.

usage: pages_browser.py EXAMPLE HOST PORT PID
"""

import os
import signal
import sys
import urllib.request

from browser import Browser, dark, wait

NAME, HOST, PORT, PID = sys.argv[1:]
URL = "http://%s:%s/" % (HOST, PORT)
TEXT = "document.getElementById('%s').textContent"


def get(path):
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(URL + path, timeout=20).read()


def named_controls(page):
    """What a screen reader says about buttons and fields must not be nothing."""
    return page.value(
        "[...document.querySelectorAll('button, input')].every(e => e.textContent || e.ariaLabel || (e.labels && e.labels.length))"
        " && document.documentElement.lang == 'en' && document.title != ''"
        " && document.querySelectorAll('main h1').length == 1"
    )


def no_overflow(page, width):
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500)
    page.until("innerWidth == %d" % width)
    return page.value("document.documentElement.scrollWidth <= innerWidth")


def background(page, scheme):
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    return page.value("getComputedStyle(document.body).backgroundColor")


def http_server(page):
    page.until(TEXT % "phase" + " == 'running'")
    before = page.value("Number(%s)" % (TEXT % "requests"))
    for _ in range(20):
        get("api/hello")
    page.until("Number(%s) >= %d" % (TEXT % "requests", before + 20))
    page.until("document.querySelector('#chart path') != null && Number(%s) == 1" % (TEXT % "pages"))
    page.click("#add")
    page.until(TEXT % "counter" + " == '5'")
    assert get("api/counter") == b'{"counter":5}\n'
    for link in page.value("[...document.querySelectorAll('td a')].map(a => a.getAttribute('href'))"):
        assert get(link[1:]), link
    page.call("Emulation.setDeviceMetricsOverride", width=1000, height=860, deviceScaleFactor=1, mobile=False)
    page.picture("serve.png")
    page.value("window.confirm = () => true")
    page.value("document.getElementById('drain').click()")
    page.until(TEXT % "phase" + " == 'lame duck'")
    page.until(TEXT % "phase" + " == 'left in order' || %s == 'gone'" % (TEXT % "phase"))


def draining(page):
    page.until(TEXT % "phase" + " == 'running'")
    page.click("#more")
    bar = "Number(document.querySelector('[data-state=%s]').children[2].textContent)"
    page.until(bar % ("websocket" if NAME == "graceful-server" else "answering") + " >= 5")
    page.picture("before.png")
    if NAME == "drain-one":
        # Another connection than that of the page: it goes, the page stays.
        page.until(bar % "answering" + " == 0")
        number = page.value("Number(document.querySelector('#list td').textContent)")
        page.value("drain(%d)" % number)
        page.until("![...document.querySelectorAll('#list tr')].some(r => r.cells[0].textContent == %d)" % number)
        assert page.value(TEXT % "phase") == "running"
    os.kill(int(PID), signal.SIGTERM)
    if NAME == "graceful-server":
        page.until(TEXT % "phase" + " == 'lame duck'")
        page.picture("during.png")
    page.until(TEXT % "phase" + " == 'gone'")
    if NAME != "drain-one":
        # Everybody else was gone when the page was told.
        page.until("document.querySelectorAll('#list tr').length == 0")


def chat(page, browser):
    other = browser.open(URL)
    for p in (page, other):
        p.until(TEXT % "state" + " == 'connected'")
    page.type("#text", "Good morning <b>")
    page.click("#form button")
    for p in (page, other):
        p.until("document.querySelector('#log').textContent.includes('Good morning <b>')")
    os.kill(int(PID), signal.SIGTERM)
    other.until(TEXT % "state" + " == 'the server has left'")


def echo(page):
    page.until(TEXT % "state" + " == 'open'")
    page.type("#text", " again")
    page.click("#form button")
    page.until("[...document.querySelectorAll('#log li')].some(e => e.textContent.startsWith('\u2190') && e.textContent.includes('again'))")
    os.kill(int(PID), signal.SIGTERM)
    page.until(TEXT % "state" + ".startsWith('closed')")


def upload(page):
    page.value(
        "(() => { const files = new DataTransfer(); files.items.add(new File(['x'.repeat(3000000)], 'sent.txt'));"
        " const input = document.getElementById('file'); input.files = files.files; input.dispatchEvent(new Event('change')); })()"
    )
    page.until(TEXT % "text" + " == 'stored 3000000 bytes'")
    assert get("files/sent.txt") == b"x" * 3000000
    os.kill(int(PID), signal.SIGTERM)


def dashboard(page):
    """Three charts that grow with each tick."""
    page.until("!document.getElementById('main').hidden")
    points = "document.querySelectorAll('#%s path')[1].getAttribute('d').split('L').length"
    for chart in ("tick_chart", "load_chart", "level_chart"):
        page.until("document.querySelectorAll('#%s path').length == 2" % chart)
        before = page.value(points % chart)
        page.until(points % chart + " > %d" % before)
    os.kill(int(PID), signal.SIGTERM)


with Browser() as browser:
    page = browser.open(URL)
    assert background(page, "dark") != background(page, "light") == "rgb(255, 255, 255)"
    assert no_overflow(page, 360) and no_overflow(page, 1000)
    assert named_controls(page)
    page.value("document.activeElement.blur()")
    assert page.picture("page.png").share(page.box("h1"), dark) > 0.005
    if NAME == "http-server":
        http_server(page)
    elif NAME == "websocket-broadcast":
        chat(page, browser)
    elif NAME in ("websocket-echo", "upload-form", "dashboard"):
        {"websocket-echo": echo, "upload-form": upload, "dashboard": dashboard}[NAME](page)
    else:
        draining(page)
    wait(lambda: not os.path.exists("/proc/%s" % PID) or "Z" in open("/proc/%s/stat" % PID).read().rsplit(")", 1)[1][:3], 30)
