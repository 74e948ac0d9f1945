"""The page in a real Chromium: every way to give it a photo, and everybody who may want to.

Needs the system's chromium, and `pip install playwright axe-playwright-python` (the latter for the
copy of axe-core in it). Without them these tests are skipped; with REQUIRE_BROWSER=1 they fail.
"""

import base64
import copy
import dataclasses
import importlib.util
import os
import re
import shutil
from pathlib import Path

import pytest
from photo_files import encode, pixels

from stn_jax.web.limits import Limits
from stn_jax.web.security import Access

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
TOKEN = "a-token-of-some-length"
SIZES = {"phone": (320, 640), "tablet": (768, 1024), "desktop": (1280, 900)}


def _missing():
    if CHROMIUM is None:
        return "no chromium on this machine"
    for name in ("playwright", "axe_playwright_python"):
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed"
    return None


@pytest.fixture(scope="module")
def browser():
    missing = _missing()
    if missing and os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(f"REQUIRE_BROWSER=1, but {missing}")
    if missing:
        pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, live):
    """Opens the page in a browser of its own; fails on anything that the console complains of."""
    contexts, complaints = [], []

    def open_page(url=None, *, size="desktop", **options):
        width, height = SIZES.get(size, size)
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url or live.url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    # Refusals are logged by the browser, too; the tests look for them on the page.
    assert [text for text in complaints if "Failed to load resource" not in text] == []


def a_file(name, content):
    return {"name": name, "mimeType": "image/jpeg", "buffer": content}


def answers(page, count):
    """Waits until `count` photos are done, and returns their headlines."""
    page.locator(".card:not(.pending)").nth(count - 1).wait_for()
    page.locator(".pending").first.wait_for(state="detached")
    return page.locator(".card h3").all_inner_texts()


def headline(predictor, content):
    label = predictor.predict([content])[0].label
    return "Not certain: no answer" if label is None else label.capitalize()


def test_choosing(open_page, predictor, certain_and_not):
    page = open_page()
    with page.expect_file_chooser() as chooser:
        page.get_by_label("Choose photos").click()
    assert chooser.value.is_multiple()
    contents = certain_and_not
    chooser.value.set_files([a_file(f"{i}.png", content) for i, content in enumerate(contents)])
    assert answers(page, 2) == [headline(predictor, content) for content in contents]
    assert page.locator(".card .file").all_inner_texts() == ["0.png", "1.png"]
    assert "All 2 photos are done." in page.get_by_role("status").inner_text()
    shown = page.locator(".card image").first.bounding_box()
    assert shown["width"] > 200
    # The same photo can be chosen again.
    page.set_input_files("#choose", a_file("0.png", contents[0]))
    assert len(answers(page, 3)) == 3
    page.get_by_role("link", name="Clear").click()
    assert page.locator(".card").count() == 0
    assert page.locator(".results").is_hidden()


def test_the_answer_in_view_is_that_of_the_photo_just_chosen(open_page, photo):
    page = open_page(size="phone")
    for i in range(3):
        page.set_input_files("#choose", a_file(f"{i}.jpg", photo))
        answers(page, i + 1)
        # The page scrolls there smoothly.
        page.wait_for_function(
            """count => {
                const tops = Array.from(document.querySelectorAll('.card'),
                    card => card.getBoundingClientRect().top);
                const last = tops.pop();
                const others = tops.every(top => top < 0) && tops.length === count - 1;
                return others && last < innerHeight / 3;
            }""",
            arg=i + 1,
        )


def _transfer(page, files):
    return page.evaluate_handle(
        """files => {
            const transfer = new DataTransfer();
            for (const [name, data] of files) {
                const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
            }
            return transfer;
        }""",
        [[name, base64.b64encode(content).decode()] for name, content in files],
    )


def test_dropping(open_page, photo):
    page = open_page()
    transfer = _transfer(page, [("a.jpg", photo), ("b.jpg", photo)])
    page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
    assert "over" in page.locator(".drop").get_attribute("class")
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    assert "over" not in page.locator(".drop").get_attribute("class")
    answers(page, 2)
    assert page.locator(".card .file").all_inner_texts() == ["a.jpg", "b.jpg"]


def test_pasting(open_page, photo):
    page = open_page()
    page.evaluate(
        "t => document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: t}))",
        _transfer(page, [("pasted.jpg", photo)]),
    )
    answers(page, 1)
    assert page.locator(".card .file").inner_text() == "pasted.jpg"


def test_a_bad_photo_among_good_ones(open_page, photo):
    page = open_page()
    names = ["good.jpg", "<b>bad.jpg", "better.jpg"]
    contents = [photo, b"no photo", photo]
    files = [a_file(*pair) for pair in zip(names, contents, strict=True)]
    page.set_input_files("#choose", files)
    assert answers(page, 3)[1] == "This photo cannot be used"
    assert page.locator(".card .file").all_inner_texts() == names
    assert "Text, not a photo." in page.locator(".card").nth(1).inner_text()


def test_a_file_that_is_too_large_is_not_sent(open_page, build, go_live):
    page = open_page(go_live(build(limits=Limits(max_megabytes=0.5))).url)
    page.route("**/cards", lambda route: pytest.fail("it was sent"))
    page.set_input_files("#choose", a_file("large.jpg", b"x" * 600_000))
    answers(page, 1)
    assert "larger than 0.5 MB" in page.locator(".card").inner_text()


def test_examples(open_page):
    page = open_page()
    page.get_by_role("button", name="Example 2").click()
    answers(page, 1)
    assert page.locator(".card .file").inner_text() == "example 2.png"


def test_a_busy_server_is_asked_again(open_page, photo):
    page = open_page()
    asked = []

    def busy_once(route):
        asked.append(route)
        if len(asked) > 1:
            route.continue_()
        else:
            route.fulfill(status=503, headers={"Retry-After": "1"}, body="")

    page.route("**/cards", busy_once)
    page.set_input_files("#choose", a_file("a.jpg", photo))
    answers(page, 1)
    assert len(asked) == 2


def test_a_server_that_is_gone(open_page, photo):
    page = open_page()
    page.route("**/cards", lambda route: route.abort())
    page.set_input_files("#choose", a_file("a.jpg", photo))
    answers(page, 1)
    assert "could not be reached" in page.locator(".card").inner_text()


def test_a_folder_is_not_taken_for_a_server_that_is_gone(open_page, tmp_path):
    page = open_page()
    box = page.locator(".drop").bounding_box()
    drag = {
        "x": box["x"] + 5,
        "y": box["y"] + 5,
        "data": {"items": [], "files": [str(tmp_path)], "dragOperationsMask": 1},
    }
    mouse = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        mouse.send("Input.dispatchDragEvent", {"type": kind, **drag})
    answers(page, 1)
    assert "it is a folder" in page.locator(".card").inner_text()


def test_a_request_that_is_refused_names_its_photo(open_page, photo):
    page = open_page()
    page.route("**/cards", lambda route: route.fulfill(status=500, json={"error": "It broke."}))
    page.set_input_files("#choose", [a_file("a.jpg", photo), a_file("b.jpg", photo)])
    answers(page, 2)
    assert page.locator(".card .file").all_inner_texts() == ["a.jpg", "b.jpg"]
    assert "It broke." in page.locator(".card").first.inner_text()
    # Whichever was answered last: both are asked for at once.
    assert re.match(r"[ab]\.jpg: No answer", page.get_by_role("status").inner_text())


def test_without_javascript(open_page, photo, predictor):
    page = open_page(java_script_enabled=False)
    page.set_input_files("#choose", [a_file("a.jpg", photo), a_file("b.jpg", b"no photo")])
    page.get_by_role("button", name="Look at them").click()
    assert answers(page, 2) == [headline(predictor, photo), "This photo cannot be used"]
    assert page.url.endswith("#answers-title"), "answers below the window go unseen"
    page.get_by_role("button", name="Example 1").click()
    answers(page, 1)
    assert page.url.endswith("#answers-title")
    assert page.locator(".card .file").inner_text() == "example 1.png"
    page.get_by_role("link", name="Clear").click()
    assert page.locator(".card").count() == 0


def test_a_photo_chosen_before_the_script_has_come(open_page, photo):
    page = open_page()

    def choose_first(script):
        page.set_input_files("#choose", a_file("a.jpg", photo))
        script.continue_()

    page.route("**/page.js*", choose_first)
    page.reload()
    answers(page, 1)


def test_with_the_keyboard_alone(open_page, photo):
    page = open_page()
    # The browser is told to hand choosers over as soon as somebody listens. Told only when a key is
    # about to be pressed, a busy machine may open the chooser first.
    page.on("filechooser", lambda chooser: None)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "choose":
            break
    outline = "getComputedStyle(document.querySelector('.choose .button')).outlineStyle"
    assert page.evaluate(outline) == "solid"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(a_file("a.jpg", photo))
    answers(page, 1)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    answers(page, 2)
    assert page.locator(".card .file").all_inner_texts() == ["a.jpg", "example 1.png"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_size(open_page, certain_and_not, artifacts, size, scheme):
    page = open_page(size=size, color_scheme=scheme, has_touch=size == "phone")
    files = [a_file(f"{'long-name-' * 6}{i}.png", c) for i, c in enumerate(certain_and_not)]
    page.set_input_files("#choose", [*files, a_file("bad.jpg", b"no photo")])
    answers(page, 3)
    assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
    page.screenshot(path=artifacts / f"page-{size}-{scheme}.png", full_page=True)
    assert _violations(page) == []


def test_a_phone_can_take_a_photo(open_page):
    page = open_page(size="phone", has_touch=True, is_mobile=True)
    camera = page.get_by_label("Take a photo")
    assert camera.is_visible() == page.evaluate("matchMedia('(pointer: coarse)').matches")
    assert camera.get_attribute("capture") == "environment"


def test_large_text(open_page, photo):
    # A desktop window at 400 % is as wide as a phone; at 200 % half as wide.
    page = open_page(size=(640, 450))
    page.set_input_files("#choose", a_file("a.jpg", photo))
    answers(page, 1)
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert page.evaluate("document.documentElement.scrollWidth") == 640


def test_signing_in(open_page, build, go_live, photo):
    live = go_live(build(access=Access(token=TOKEN)))
    page = open_page(live.url)
    assert _violations(page) == []
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_role("alert").inner_text() == "That is not the token."
    assert _violations(page) == []
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.set_input_files("#choose", a_file("a.jpg", photo))
    answers(page, 1)
    cookies = page.context.cookies()
    page.context.clear_cookies()
    page.set_input_files("#choose", a_file("b.jpg", photo))
    answers(page, 2)
    assert "Reload this page to sign in" in page.locator(".card").nth(1).inner_text()
    page.context.add_cookies(cookies)
    page.get_by_role("button", name="Sign out").click()
    assert page.get_by_role("heading", name="Sign in").is_visible()


def test_a_model_without_answers(open_page, build, go_live, silent_predictor):
    page = open_page(go_live(build(predictor=silent_predictor, evidence=None)).url)
    page.set_input_files("#choose", a_file("a.jpg", encode(pixels(3))))
    assert answers(page, 1) == ["Not certain: no answer"]
    assert _violations(page) == []


@pytest.mark.parametrize("size", SIZES)
def test_bars_of_names_of_any_length_have_one_scale(open_page, build, go_live, predictor, size):
    named = copy.copy(predictor)
    classes = ("eczema", "a disease of more words than fit into half of a card")
    named.run = dataclasses.replace(predictor.run, classes=classes)
    page = open_page(go_live(build(predictor=named, evidence=None)).url, size=size)
    page.set_input_files("#choose", a_file("a.jpg", encode(pixels(3))))
    answers(page, 1)
    first, second = (bar.bounding_box() for bar in page.locator(".bar").all())
    assert first["width"] > 80
    assert (first["x"], first["width"]) == (second["x"], second["width"])


def _violations(page):
    """What axe-core finds wrong that is serious or worse."""
    package = importlib.util.find_spec("axe_playwright_python").submodule_search_locations[0]
    page.evaluate((Path(package) / "axe.min.js").read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        (each["id"], [node["html"] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
