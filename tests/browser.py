"""Load a page in a real browser at several widths; find overflow and overlapping texts."""

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
WIDTHS = (360, 390, 1280)
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--dump-dom",
)  # fmt: skip
_HEAD = "<!doctype html><meta charset=utf-8><pre id=found></pre>"
_MEASURE = """
const box = text => text.getBoundingClientRect();
const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
  && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
function look(page) {
  page.querySelectorAll("details").forEach(one => { one.open = true; });
  const found = {overlaps: [], cut: [], smallest: 99};
  found.overflow = page.documentElement.scrollWidth - page.documentElement.clientWidth;
  page.querySelectorAll("svg").forEach(svg => {
    const texts = [...svg.querySelectorAll("text")], frame = box(svg);
    const level = texts.filter(one => !/rotate/.test(one.getAttribute("transform") || ""));
    texts.forEach(one => {
      const scale = frame.width / svg.viewBox.baseVal.width;
      const size = parseFloat(getComputedStyle(one).fontSize) * scale;
      found.smallest = Math.min(found.smallest, size);
      const at = box(one);
      if (at.left < frame.left - 1 || at.right > frame.right + 1 || at.bottom > frame.bottom + 1)
        found.cut.push(one.textContent);
    });
    level.forEach((one, n) => level.slice(n + 1).forEach(other => {
      if (meet(box(one), box(other))) found.overlaps.push([one.textContent, other.textContent]);
    }));
  });
  return found;
}
addEventListener("load", () => {
  const all = {};
  for (const one of document.querySelectorAll("iframe")) all[one.width] = look(one.contentDocument);
  document.getElementById("found").textContent = JSON.stringify(all);
});
"""


def measured(page: str, folder: Path) -> dict[str, Any]:
    """Return, by width, how far the page scrolls sideways and which texts of plots collide."""
    frames = "".join(
        f'<iframe width="{width}" height="800" srcdoc="{escape(page)}"></iframe>'
        for width in WIDTHS
    )
    wrapper = folder / "frames.html"
    wrapper.write_text(_HEAD + f"{frames}<script>{_MEASURE}</script>", encoding="utf-8")
    command = [str(BROWSER), *_OPTIONS, f"--user-data-dir={folder / 'profile'}", wrapper.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match is not None, done.stderr[-500:]
    by_width: dict[str, Any] = json.loads(unescape(match[1]))
    assert set(by_width) == {str(width) for width in WIDTHS}
    return by_width
