"""The playground: images, step by step, and the gallery."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.playground.visit import FREED, answered, page, running
from tests.cluster import Cluster, wait_for

pytestmark = pytest.mark.browser


def test_images_are_made_step_by_step(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        shown.get_by_role("tab", name="Images").click()
        expect(shown.locator("#chat")).to_be_hidden()
        shown.get_by_text("Parameters", exact=True).click()
        shown.locator("#n").fill("2")
        shown.locator("#steps").fill("40")  # four seconds
        shown.locator("#image-seed").fill("41")
        shown.locator("#image-prompt").fill("a <b>cat</b>")
        shown.get_by_role("button", name="Make the image").click()
        expect(shown.locator("#image-status")).to_have_text(re.compile(r"Step \d+ of 40"))
        expect(shown.locator("#progress")).to_be_visible()
        answered(shown, re.compile(r"2 images after .+\."), "#image-status")
        expect(shown.locator("#progress")).to_be_hidden()
        images = shown.locator("#gallery img")
        expect(images).to_have_count(2)
        assert images.first.get_attribute("alt") == "a <b>cat</b>"
        assert images.first.get_attribute("src").startswith("blob:")
        wait_for(lambda: images.first.evaluate("image => image.naturalWidth") == 64, 20, "the image to be drawn")
        assert shown.locator("#gallery small").all_text_contents() == [
            f"pictures, 64x64, seed {seed}, 40 steps" for seed in (41, 42)
        ]
        with shown.expect_download() as saved:
            shown.get_by_role("link", name="Download").first.click()
        assert saved.value.suggested_filename == "pictures-41.png"
        assert Path(saved.value.path()).read_bytes().startswith(b"\x89PNG")
        shown.get_by_role("button", name="Clear the gallery").click()
        expect(images).to_have_count(0)


def test_an_image_can_be_stopped(browser: Browser, served: Cluster) -> None:
    with page(browser, served, at="#images") as shown:
        shown.get_by_text("Parameters", exact=True).click()
        shown.locator("#steps").fill("500")
        shown.locator("#image-prompt").fill("a cat")
        shown.get_by_role("button", name="Make the image").click()
        expect(shown.locator("#image-status")).to_have_text(re.compile(r"Step \d+ of 500"))
        shown.locator("#image-stop").click()
        expect(shown.locator("#image-status")).to_have_text(FREED)
        wait_for(lambda: running(served, "pictures") == 0, 10, "the slot to be free")
