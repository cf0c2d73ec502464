"""axe-core, the checker of accessibility, in the page."""

from __future__ import annotations

from importlib.resources import files

from playwright.sync_api import Page

SCRIPT = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
# Every rule; sizes of what is pressed only outside the graph, which one zooms.
RUN = """async () => {
    const options = { resultTypes: ["violations"] };
    const rules = { "target-size": { enabled: true } };
    const sizes = { ...options, runOnly: ["target-size"], rules };
    const all = await axe.run(document, options);
    const small = await axe.run({ include: document, exclude: [".react-flow"] }, sizes);
    return [...all.violations, ...small.violations].flatMap(({ id, nodes }) =>
        nodes.map(({ target, failureSummary }) => [id, target.flat().join(" "), failureSummary]));
}"""
THEMES = ("dark", "light")


def violations(page: Page, screen: str) -> list[str]:
    """What axe finds wrong with what the page shows now, in both themes."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(SCRIPT)
    found: list[str] = []
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        result: list[list[str]] = page.evaluate(RUN)
        found += [f"{screen}, {theme}: {rule}: {place}: {why}" for rule, place, why in result]
    return found
