"""The gallery, the viewer, comparing, and the queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from axe import violations
from desk import DRAWING, FRAMES, centre, clear, drag, node
from playwright.sync_api import Locator, Page, expect
from server_process import HOME, ServerProcess, until

TEXT = HOME / "workflows" / "text_to_image.json"


def graph(prompt: str, seed: int, steps: int = 2, count: int = 1) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(TEXT.read_text())
    made["2"]["inputs"]["text"] = prompt
    made["4"]["inputs"]["batch_size"] = count
    made["5"]["inputs"] |= {"seed": seed, "steps": steps}
    return made


@pytest.fixture(scope="module")
def runs(server: ServerProcess) -> list[str]:
    """Two runs that have ended: the ids of the older and of the newer one."""
    ids = [server.submit(graph("a red apple", 11, count=2)), server.submit(graph("dog face", 12))]
    for id in ids:
        assert server.ended(id)["status"]["completed"]
    return ids


@pytest.fixture
def paused(server: ServerProcess) -> Iterator[ServerProcess]:
    """The queue begins nothing, and is empty before and afterwards."""
    server.post("/queue/pause")
    yield server
    server.post("/queue", {"clear": True})
    server.post("/interrupt")
    server.post("/queue/resume")
    until(lambda: server.get("/queue/state")["running"] == 0)


def panel(page: Page, name: str) -> Locator:
    page.get_by_role("button", name=name, exact=True).click()
    return page.get_by_role("complementary", name=name)


def pictures(page: Page, words: str) -> Locator:
    """The pictures of a run in the gallery."""
    run = page.get_by_role("listitem", name=f"Run: {words}", exact=True)
    return run.get_by_role("button", name="Show the picture")


def do(page: Page, picture: Locator, action: str) -> None:
    """Takes something from a picture's menu."""
    picture.click(button="right")
    page.get_by_role("menuitem", name=action, exact=True).click()


def waiting(server: ServerProcess) -> list[str]:
    jobs = server.get("/jobs?status=pending&sort_by=priority&sort_order=asc")["jobs"]
    return [job["id"] for job in jobs]


def status(server: ServerProcess, id: str) -> str:
    return str(server.get(f"/jobs/{id}")["status"])


@pytest.mark.usefixtures("runs")
def test_runs_are_listed_newest_first_with_small_pictures_and_found_by_their_prompts(
    page: Page,
) -> None:
    gallery = panel(page, "Gallery")
    expect(pictures(page, "a red apple")).to_have_count(2)
    expect(pictures(page, "dog face")).to_have_count(1)
    order = gallery.locator(".run-words").all_inner_texts()
    assert order.index("dog face") < order.index("a red apple")
    for image in gallery.locator("img").all():
        assert "size=256" in str(image.get_attribute("src"))

    search = gallery.get_by_role("searchbox", name="Search the prompts")
    search.fill("APPLE red")
    expect(gallery.locator(".run-words")).to_have_text(["a red apple"])
    search.fill("LoadCheckpoint")  # a word of the graphs, and of no prompt
    expect(gallery.get_by_text("No picture was made with these words.")).to_be_visible()
    search.fill("")
    expect(pictures(page, "dog face")).to_have_count(1)


@pytest.mark.usefixtures("runs")
def test_a_seed_or_a_prompt_is_recalled_into_the_present_graph_and_nothing_else(page: Page) -> None:
    panel(page, "Gallery")
    seed = page.get_by_role("spinbutton", name="seed, Sampler")
    prompt = page.get_by_role("textbox", name="text, Prompt", exact=True)
    steps = page.get_by_role("spinbutton", name="steps, Sampler")

    do(page, pictures(page, "dog face").first, "Use its seed")
    expect(seed).to_have_value("12")
    expect(page.get_by_text("Seed 12 is now in Sampler, and stays")).to_be_visible()
    expect(prompt).to_have_value("cat face")

    do(page, pictures(page, "a red apple").first, "Use its prompt")
    expect(prompt).to_have_value("a red apple")
    expect(page.get_by_text("The prompt is now in Prompt, Negative prompt")).to_be_visible()
    expect(seed).to_have_value("12")
    expect(steps).to_have_value("30")

    page.get_by_role("button", name="Undo").click()
    expect(prompt).to_have_value("cat face")
    page.get_by_role("button", name="Undo").click()
    expect(seed).to_have_value("7")
    clear(page)
    do(page, pictures(page, "dog face").first, "Use its seed")
    expect(page.get_by_text("This graph has no place for a seed")).to_be_visible()


@pytest.mark.usefixtures("runs")
def test_the_graph_of_a_picture_opens_and_the_present_one_is_not_lost(page: Page) -> None:
    prompt = page.get_by_role("textbox", name="text, Prompt", exact=True)
    prompt.fill("mine")
    panel(page, "Gallery")

    do(page, pictures(page, "a red apple").first, "Open its graph")

    expect(prompt).to_have_value("a red apple")
    expect(page.get_by_role("spinbutton", name="seed, Sampler")).to_have_value("11")
    tabs = page.get_by_role("navigation", name="Open graphs")
    tabs.get_by_role("button").first.click()
    expect(prompt).to_have_value("mine")


@pytest.mark.usefixtures("runs")
def test_a_picture_is_dragged_onto_the_canvas_and_onto_a_node_that_loads_one(page: Page) -> None:
    panel(page, "Gallery")
    apple, dog = pictures(page, "a red apple").first, pictures(page, "dog face").first
    clear(page)

    apple.drag_to(page.locator(".react-flow__pane"), target_position={"x": 400, "y": 300})
    loader = node(page, "Load Image")
    expect(loader.get_by_role("img", name="Picture of Load Image")).to_be_visible()
    first = loader.get_by_role("button", name="image, Load Image").get_attribute("aria-label")
    assert "[output]" in str(first)

    dog.drag_to(loader)
    chosen = loader.get_by_role("button", name="image, Load Image")
    expect(chosen).not_to_have_attribute("aria-label", str(first))
    expect(chosen).to_have_attribute("aria-invalid", "false")
    expect(loader).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(chosen).to_have_attribute("aria-label", str(first))
    page.get_by_role("button", name="Undo").click()
    expect(loader).to_have_count(0)
    do(page, dog, "Use as input")
    expect(loader).to_have_count(1)


@pytest.mark.usefixtures("runs")
def test_two_pictures_are_compared_with_a_slider_by_mouse_and_keys(page: Page) -> None:
    gallery = panel(page, "Gallery")
    do(page, pictures(page, "a red apple").first, "Choose to compare")
    do(page, pictures(page, "dog face").first, "Choose to compare")
    gallery.get_by_role("button", name="Compare", exact=True).click()
    dialog = page.get_by_role("dialog", name="Compare two pictures")
    slider = dialog.get_by_role("slider")
    expect(slider).to_have_attribute("aria-valuenow", "50")
    expect(dialog.get_by_text("11 → 12")).to_be_visible()

    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuenow", "52")
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("PageUp")
    expect(slider).to_have_attribute("aria-valuetext", "10 % of the first picture")
    x, y = centre(slider)
    drag(page, (x, y), (x + 100, y))
    assert abs(centre(slider)[0] - x - 100) < 2
    middle = centre(dialog)[0]
    page.mouse.click(middle, y + 60)
    expect(slider).to_have_attribute("aria-valuenow", "50")

    dialog.get_by_role("radio", name="Side by side").click()
    images = dialog.get_by_role("img")
    expect(images).to_have_count(2)
    dialog.get_by_role("button", name="One pixel for one").click()
    widths = "(images) => images.map((image) => image.getBoundingClientRect().width)"
    assert images.evaluate_all(widths) == [64, 64]
    page.keyboard.press("+")
    assert images.evaluate_all(widths) == pytest.approx([89.6, 89.6], abs=0.1)
    rendering = images.first.evaluate("(image) => getComputedStyle(image).imageRendering")
    assert rendering == "pixelated"
    page.keyboard.press("0")
    page.mouse.move(*centre(images.first))
    page.mouse.wheel(0, -200)
    until(lambda: images.evaluate_all(widths)[1] > 500)

    dialog.get_by_role("radio", name="Flicker").click()
    expect(images).to_have_count(1)
    expect(images).to_have_accessible_name("First picture: text_to_image_00001_.png")
    dialog.get_by_role("button", name="Show the other").click()
    expect(images).to_have_accessible_name("Second picture: text_to_image_00003_.png")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(gallery.get_by_role("button", name="Compare", exact=True)).to_be_focused()


@pytest.mark.usefixtures("runs")
def test_the_viewer_goes_through_the_pictures_and_says_how_each_was_made(page: Page) -> None:
    panel(page, "Gallery")
    expect(pictures(page, "a red apple")).to_have_count(2)
    pictures(page, "dog face").first.press("Enter")
    viewer = page.get_by_role("dialog")
    made = viewer.get_by_role("region", name="How it was made")
    expect(made).to_contain_text("dog face")
    expect(made).to_contain_text("Seed12")
    expect(viewer.get_by_role("button", name="Previous picture")).to_be_disabled()

    viewer.get_by_role("button", name="Next picture").click()
    expect(made).to_contain_text("a red apple")
    page.keyboard.press("ArrowRight")
    expect(viewer.get_by_text("3 of 3")).to_be_visible()
    expect(viewer.get_by_role("button", name="Next picture")).to_be_disabled()
    page.keyboard.press("ArrowLeft")
    expect(viewer.get_by_text("2 of 3")).to_be_visible()
    page.keyboard.press("1")
    width = "(image) => image.getBoundingClientRect().width"
    until(lambda: viewer.get_by_role("img").evaluate(width) == 64)
    with page.expect_download() as download:
        viewer.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.startswith("text_to_image_0000")

    page.keyboard.press("ArrowLeft")
    viewer.get_by_role("button", name="Compare with the run before").click()
    compared = page.get_by_role("dialog", name="Compare two pictures")
    expect(compared.get_by_text("a red apple → dog face")).to_be_visible()


def test_what_waits_is_put_in_another_order_by_keys_and_by_dragging(
    page: Page, paused: ServerProcess
) -> None:
    one, two, three = (paused.submit(graph("order", seed)) for seed in (21, 22, 23))
    queue = panel(page, "Queue")
    rows = queue.get_by_role("list", name="Waits and runs").get_by_role("listitem")
    expect(rows).to_have_count(3)
    grip = queue.get_by_role("button", name="Move order, seed 23")

    grip.press("ArrowUp")
    until(lambda: waiting(paused) == [one, three, two])
    expect(grip).to_be_focused()
    drag(page, centre(queue.get_by_role("button", name="Move order, seed 22")), centre(rows.first))
    until(lambda: waiting(paused) == [two, one, three])
    expect(rows.first).to_contain_text("seed 22")
    queue.get_by_role("button", name="Run next: order, seed 23").click()
    until(lambda: waiting(paused) == [three, two, one])

    queue.get_by_role("button", name="Go on").click()
    ended = [paused.ended(id) for id in (three, two, one)]
    starts = [entry["status"]["messages"][0][1]["timestamp"] for entry in ended]
    assert starts == sorted(starts)
    queue.get_by_role("button", name="Pause").click()
    expect(queue.get_by_text("The queue is paused")).to_be_visible()
    until(lambda: paused.get("/queue/state")["paused"])
    done = queue.get_by_role("list", name="Ended")
    done.get_by_role("button", name="Run again: order, seed 22").click()
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("seed 22")


def test_one_job_is_cancelled_while_another_runs_and_then_all_that_wait(
    page: Page, paused: ServerProcess
) -> None:
    running = paused.submit(graph("long", 31, steps=900, count=4))
    others = [paused.submit(graph("short", seed)) for seed in (32, 33, 34)]
    queue = panel(page, "Queue")
    paused.post("/queue/resume")
    until(lambda: status(paused, running) == "in_progress")

    queue.get_by_role("button", name="Cancel this run: short, seed 33").click()
    until(lambda: status(paused, others[1]) == "cancelled")
    assert status(paused, running) == "in_progress"
    assert waiting(paused) == [others[0], others[2]]

    queue.get_by_role("button", name="Cancel all that wait").click()
    until(lambda: waiting(paused) == [])
    assert status(paused, running) == "in_progress"
    queue.get_by_role("button", name="Cancel this run: long, seed 31").click()
    until(lambda: status(paused, running) == "cancelled")
    expect(queue.get_by_text("Nothing waits.")).to_be_visible()


def test_a_run_that_is_forgotten_is_gone_from_the_gallery(
    page: Page, server: ServerProcess
) -> None:
    id = server.submit(graph("to be forgotten", 41))
    server.ended(id)
    panel(page, "Gallery")
    expect(pictures(page, "to be forgotten")).to_have_count(1)
    page.evaluate(FRAMES)

    do(page, pictures(page, "to be forgotten").first, "Forget this run")

    expect(pictures(page, "to be forgotten")).to_have_count(0)
    expect(page.get_by_text("Forgotten.")).to_be_visible()
    assert server.request("GET", f"/jobs/{id}").status == 404


def test_of_many_runs_only_those_near_what_is_seen_have_pictures(
    page: Page, server: ServerProcess
) -> None:
    ids = [server.submit(graph("many", 51, count=4)) for _ in range(50)]
    server.ended(ids[-1])
    gallery = panel(page, "Gallery")
    gallery.get_by_role("searchbox", name="Search the prompts").fill("many")
    rows = gallery.get_by_role("list", name="Runs").locator("> li")
    until(lambda: rows.count() >= 24)
    assert rows.count() < 50

    page.mouse.move(*centre(gallery))

    def at_the_end() -> bool:
        page.mouse.wheel(0, 3000)
        page.evaluate(FRAMES)
        return rows.count() == 50

    until(at_the_end)
    page.mouse.wheel(0, 9000)
    expect(pictures(page, "many").last).to_be_in_viewport()
    assert gallery.locator("img").count() < 100


@pytest.mark.usefixtures("runs")
def test_nothing_that_is_looked_at_has_violations(page: Page, paused: ServerProcess) -> None:
    gallery = panel(page, "Gallery")
    gallery.get_by_role("searchbox", name="Search the prompts").fill("dog face")
    pictures(page, "dog face").first.click(button="right")
    found = violations(page, "menu of a picture")
    page.keyboard.press("Escape")
    expect(pictures(page, "dog face").first).to_be_visible()
    pictures(page, "dog face").first.click()
    expect(page.get_by_role("region", name="How it was made")).to_be_visible()
    found += violations(page, "viewer")
    page.get_by_role("button", name="Choose to compare").click()
    page.get_by_role("button", name="Compare with the run before").click()
    compare = page.get_by_role("dialog", name="Compare two pictures")
    for mode in ("Slider", "Side by side", "Flicker", "Difference"):
        compare.get_by_role("radio", name=mode).click()
        found += violations(page, f"compare, {mode}")
    page.keyboard.press("Escape")
    paused.submit(graph("waits", 61))
    queue = panel(page, "Queue")
    expect(queue.get_by_role("button", name="Move waits, seed 61")).to_be_visible()
    found += violations(page, "queue and what is chosen")

    assert found == []


def test_pictures_of_nodes_are_compared(page: Page) -> None:
    for name, value in (("steps, Sampler", "2"), ("batch_size, Size", "2")):
        field = page.get_by_role("spinbutton", name=name)
        field.fill(value)
        field.press("Enter")
    page.get_by_role("button", name="Run", exact=True).click()
    made = node(page, "Save").get_by_role("button").filter(has=page.get_by_role("img"))
    expect(made).to_have_count(2, timeout=DRAWING)

    for picture in made.all():
        picture.click()
        page.get_by_role("button", name="Choose to compare").click()
        page.keyboard.press("Escape")
    chosen = page.get_by_role("region", name="Chosen to be compared")
    chosen.get_by_role("button", name="Compare").click()
    dialog = page.get_by_role("dialog", name="Compare two pictures")
    expect(dialog.get_by_text("Made with the same settings")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    chosen.get_by_role("button", name="Choose none").click()
    expect(chosen).to_have_count(0)


def test_a_run_of_this_page_appears_in_the_gallery_when_it_has_ended(page: Page) -> None:
    panel(page, "Gallery")
    page.get_by_role("textbox", name="text, Prompt", exact=True).fill("a green frog")
    for name, value in (("steps, Sampler", "2"), ("batch_size, Size", "1")):
        field = page.get_by_role("spinbutton", name=name)
        field.fill(value)
        field.press("Enter")

    page.get_by_role("button", name="Run", exact=True).click()

    expect(pictures(page, "a green frog")).to_have_count(1, timeout=DRAWING)
