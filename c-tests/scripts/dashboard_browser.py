"""Two people at a dashboard: both log in, one changes a setting, the other one sees it at once, and so does the picture.

usage: dashboard_browser.py HOST PORT PASSWORD
"""

import sys
import urllib.request

from browser import HEIGHT, WIDTH, Browser, blue, dark

HOST, PORT, PASSWORD = sys.argv[1:]
URL = "http://%s:%s/" % (HOST, PORT)


def setting():
    request = urllib.request.Request(URL + "api/get/led", headers={"Authorization": "Bearer " + PASSWORD})
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20).read()


with Browser() as browser:
    pages = [browser.open(URL) for _ in range(2)]
    for page in pages:
        page.until("!document.getElementById('login').hidden")
        page.type("#pass", "wrong")
        page.click("#login button")
        assert page.value("fetch('/api/get').then(r => r.status)") == 403
        page.value("document.getElementById('pass').value = ''")
        page.type("#pass", PASSWORD)
        page.click("#login button")
        page.until("!document.getElementById('main').hidden")
        assert page.value("document.getElementById('login').hidden")
        # The WebSocket is open when it tells of a tick.
        ticks = page.value("Number(document.getElementById('ticks').textContent)")
        page.until("Number(document.getElementById('ticks').textContent) > %d" % ticks)
    mine, other = pages

    before = mine.picture("before.png")
    assert (before.width, before.height) == (WIDTH, HEIGHT)
    title, lamp, level = mine.box("h1"), mine.box("#on"), mine.box("#level")
    assert before.colour(WIDTH - 2, HEIGHT - 2) == (255, 255, 255)
    assert 0.01 < before.share(title, dark) < 0.5, before.share(title, dark)
    assert before.share(lamp, blue) < 0.1, before.share(lamp, blue)
    half = before.share(level, blue)
    assert half > 0.05, half
    assert not other.value("document.getElementById('on').checked")

    mine.click("#on")
    other.until("document.getElementById('on').checked")
    mine.click("#level", 0.9)
    other.until("Number(document.getElementById('percent').textContent) > 80")
    number = other.value("Number(document.getElementById('level').value)")
    mine.until("document.getElementById('percent').textContent == %d" % number)
    assert setting() == b'{"on":true,"level":%d}\n' % number, setting()

    for page in pages:
        after = page.picture("after.png")
        assert (after.width, after.height) == (WIDTH, HEIGHT)
        assert after.share(lamp, blue) > 0.4, after.share(lamp, blue)
        assert after.share(level, blue) > 1.3 * half, after.share(level, blue)
        assert 0.01 < after.share(title, dark) < 0.5

    # What another client sets, without a browser, is pushed to both.
    mine.value("fetch('/api/set', {method: 'POST', body: JSON.stringify({led: {on: false, level: 7}})}).then(r => r.text())")
    for page in pages:
        page.until("!document.getElementById('on').checked && document.getElementById('percent').textContent == '7'")

    # The same name is the same session: it ends for both, and their pages notice.
    assert other.value("fetch('/api/logout').then(r => r.status)") == 401
    for page in pages:
        page.until("!document.getElementById('login').hidden && document.getElementById('main').hidden")
