"""The system's Chromium, driven by Playwright, whose own browsers would be another download."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

INSTALL = "sudo apt-get install -y chromium fonts-noto-color-emoji"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: Beyond the PATH: where macOS has it.
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


class BrowserMissing(RuntimeError):
    """There is no Chromium, and it can't be installed from here."""


def chromium_program() -> str:
    """Where the program is; root on a Debian gets it installed where it is missing, with a font for emoji."""
    found = _found()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", *INSTALL.split()[2:]]
        if subprocess.run(install, capture_output=True, check=False).returncode:
            # A new machine knows no packages before its first update.
            subprocess.run(["apt-get", "update"], capture_output=True, check=False)
            subprocess.run(install, capture_output=True, check=False)
        found = _found()
    if found is None:
        raise BrowserMissing(f"Chromium is missing; install it: {INSTALL}")
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window. Root has no sandbox to run it in, and the page is our own."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def _found() -> str | None:
    named = (shutil.which(name) for name in NAMES)
    return next((each for each in (*named, *PLACES) if each and os.access(each, os.X_OK)), None)
