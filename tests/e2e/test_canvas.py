"""The canvas: what one sees first, running it, cables, the palette, undoing, drafts, files."""

from __future__ import annotations

from pathlib import Path

from desk import cables, centre, choose, drag, draw, draw_out, drop, fill, input, node, output
from PIL import Image
from playwright.sync_api import Page, expect
from server_process import until

PROMPT = "CLIP Text Encode (Prompt)"
PATIENCE = 60_000  # milliseconds: the model draws on a slow machine
DRAFT = """async (words) => {
    const base = await new Promise((resolve, reject) => {
        const request = indexedDB.open("nodegraph", 1);
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
    if (!base.objectStoreNames.contains("drafts")) return base.close();
    const drafts = await new Promise((resolve) => {
        const request = base.transaction("drafts").objectStore("drafts").getAll();
        request.onsuccess = () => resolve(request.result);
    });
    base.close();
    return drafts.some(({ text }) => text.includes(words));
}"""


def drawn(page: Page, title: str, count: int, pixels: int = 64) -> None:
    """Waits until a node shows so many pictures, of that size."""
    pictures = node(page, title).get_by_role("img", name=f"Picture of {title}")
    expect(pictures).to_have_count(count, timeout=PATIENCE)
    until(lambda: pictures.first.evaluate("(image) => image.naturalWidth") == pixels)


def test_it_opens_on_a_graph_that_one_click_draws(page: Page) -> None:
    steps = page.get_by_role("spinbutton", name="steps, Sampler")
    steps.fill("1 + 2/2")
    steps.press("Enter")
    expect(steps).to_have_value("2")

    page.get_by_role("button", name="Run", exact=True).click()

    drawn(page, "Save", 4)
    expect(page.get_by_role("status", name="State of the run")).to_contain_text("Done")
    page.get_by_role("button", name="Gallery").click()
    gallery = page.get_by_role("complementary", name="Gallery")
    gallery.get_by_role("button", name="Show the picture").first.click()
    expect(page.get_by_role("dialog").get_by_role("img")).to_be_visible()


def test_a_cable_goes_where_its_type_fits_and_nowhere_else(page: Page) -> None:
    before = cables(page)
    vae = input(page, "vae", "Decode")

    drag(page, centre(output(page, "CLIP", "Checkpoint")), centre(vae), drop=False)
    expect(page.get_by_text("takes VAE, and the output gives CLIP")).to_be_visible()
    page.mouse.up()
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()

    drag(page, centre(vae), (700, 700))
    until(lambda: cables(page) == before - 1)
    draw(page, output(page, "VAE", "Checkpoint"), vae)
    until(lambda: cables(page) == before)

    page.keyboard.press("Control+z")
    until(lambda: cables(page) == before - 1)
    output(page, "VAE", "Checkpoint").press("Space")
    vae.press("Space")
    until(lambda: cables(page) == before)

    positive = input(page, "positive", "Sampler")
    draw(page, positive, input(page, "negative", "Sampler"))
    until(lambda: cables(page) == before - 1)
    expect(positive).to_have_attribute("data-linked", "false")


def test_a_graph_is_built_from_nothing_and_drawn_and_all_of_it_undone(page: Page) -> None:
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    expect(node(page, "Sampler")).to_have_count(0)

    page.keyboard.press("Tab")
    choose(page, "load checkpoint")
    draw_out(page, output(page, "CLIP", "Load Checkpoint"), "text encode")
    draw_out(page, output(page, "CONDITIONING", PROMPT), "ksampler")
    draw_out(page, input(page, "latent_image", "KSampler"), "empty latent")
    draw_out(page, output(page, "LATENT", "KSampler"), "vae decode")
    draw_out(page, output(page, "IMAGE", "VAE Decode"), "save image")
    prompt = output(page, "CONDITIONING", PROMPT)
    draw(page, prompt, input(page, "negative", "KSampler"))
    draw(page, output(page, "MODEL", "Load Checkpoint"), input(page, "model", "KSampler"))
    draw(page, output(page, "VAE", "Load Checkpoint"), input(page, "vae", "VAE Decode"))
    until(lambda: cables(page) == 8)
    page.get_by_role("textbox", name="text, CLIP Text Encode").fill("cat face")
    for name, text in (("width, Empty", "64"), ("height, Empty", "64"), ("steps, KS", "2")):
        fill(page, name, text)
    page.keyboard.press("Control+Enter")
    drawn(page, "Save Image", 1)

    undo = page.get_by_role("button", name="Undo")
    while undo.is_enabled():
        undo.click()
    expect(node(page, "Sampler")).to_be_visible()
    expect(node(page, "KSampler")).to_have_count(0)


def test_a_reload_comes_back_to_the_same_graph_and_its_run(page: Page) -> None:
    prompt = page.get_by_role("textbox", name="text, Prompt")
    prompt.fill("a red (apple:1.2)")
    fill(page, "batch_size, Size", "1")
    fill(page, "steps, Sampler", "12")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("status", name="State of the run")).to_contain_text("Running")
    until(lambda: page.evaluate(DRAFT, "a red (apple:1.2)"))

    page.reload()

    expect(prompt).to_have_value("a red (apple:1.2)")
    drawn(page, "Save", 1)


def test_what_is_wrong_is_listed_and_led_to(page: Page) -> None:
    drag(page, centre(input(page, "latent_image", "Sampler")), (700, 720))

    page.get_by_role("button", name="Run", exact=True).click()

    errors = page.get_by_role("complementary", name="Errors")
    expect(errors.get_by_text("Sampler · latent_image")).to_be_visible()
    errors.get_by_role("button", name="Go to Sampler").click()
    expect(node(page, "Sampler").get_by_text("latent_image is required")).to_be_in_viewport()


def test_a_picture_opens_the_graph_in_it_and_another_becomes_a_node(
    page: Page, pictures: Path, tmp_path: Path
) -> None:
    drop(page, pictures / "two_stage.png")
    expect(node(page, "First steps")).to_be_visible()

    Image.new("RGB", (32, 32), "red").save(tmp_path / "plain.png")
    drop(page, tmp_path / "plain.png")
    expect(page.get_by_role("button", name="image, Load Image: plain.png")).to_be_visible()
    drawn(page, "Load Image", 1, 32)
