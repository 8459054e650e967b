"""``python -m docs.pictures``: draws all pictures."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from docs.pictures import clients
from docs.pictures.examples import DRAWN, DRAWN_SENDERS, IMAGES, digest, payloads

NEEDED = "Chromium, with the fonts Lato and Noto Color Emoji"
DEBIAN = "chromium fonts-lato fonts-noto-color-emoji"
SCALE = "1.5"
CLIENTS = {"slack": clients.slack, "discord": clients.discord, "sms": clients.sms, "whatsapp": clients.whatsapp}


def main() -> int:
    """Draw all pictures; returns the exit status."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print(f"The pictures are drawn by {NEEDED}. Debian: apt-get install {DEBIAN}", file=sys.stderr)
        return 1
    IMAGES.mkdir(exist_ok=True)
    bodies = payloads(DRAWN_SENDERS)
    for sender, body in bodies.items():
        picture = IMAGES / f"{sender}.png"
        draw(chromium, CLIENTS[sender](body), picture)
        print(f"{picture}: {picture.stat().st_size} bytes")
    drawn = {sender: digest(body) for sender, body in bodies.items()}
    DRAWN.write_text(json.dumps(drawn, indent=2) + "\n", encoding="utf-8")
    return 0


def draw(chromium: str, page: str, picture: Path) -> None:
    """Render a page as a PNG of its size."""
    with tempfile.TemporaryDirectory() as directory:
        html = Path(directory) / "page.html"
        html.write_text(page, encoding="utf-8")
        # A page in a separate window. Without sandbox, because it may run as root in a container.
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--user-data-dir={directory}/profile", f"--force-device-scale-factor={SCALE}"]
        measured = run([*command, "--dump-dom", html.as_uri()])
        size = re.search(r'data-size="(\d+),(\d+)"', measured)
        assert size, measured[-2000:]
        run([*command, f"--window-size={size[1]},{size[2]}", f"--screenshot={picture}", html.as_uri()])


def run(command: list[str]) -> str:
    """The output of a command. Its error output is shown only if it fails."""
    process = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if process.returncode:
        print(process.stderr, file=sys.stderr)
    process.check_returncode()
    return process.stdout


if __name__ == "__main__":
    sys.exit(main())
