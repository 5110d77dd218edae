"""A coverage-guided fuzzer of one reader, as a process of its own.

    python -m tests.unit.sources.fuzz eventsim -runs=1000 -seed=1

Arguments after the format are libFuzzer's. It starts from the format's samples and
fails on anything but rows, rejects or a refusal, on more than 2 GiB, and on an
input that takes 20 seconds.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["analytics.sources"]):
    from analytics.settings import load_settings
    from tests.unit.sources.samples import SAMPLES, taken
    from tests.unit.sources.test_hostile import NASTY, check

LIMITS = ("-timeout=20", "-rss_limit_mb=2048", "-max_len=20000")


def main() -> None:
    format_, *options = sys.argv[1:]
    samples = [s for s in SAMPLES if s.format == format_]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        root = Path(folder)
        (root / "corpus").mkdir()
        for number, sample in enumerate(samples):
            (root / "corpus" / str(number)).write_bytes(sample.content)
        words = ('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in NASTY[:-3])
        (root / "words").write_text("\n".join(words) + "\n")
        settings = load_settings({"ANALYTICS_VAR_DIR": folder}, dotenv=None)

        def one(content: bytes) -> None:
            for sample in samples:
                check(sample, taken(settings, sample, content, root))

        arguments = [sys.argv[0], *LIMITS, f"-dict={root / 'words'}", *options]
        atheris.Setup([*arguments, f"-artifact_prefix={root}/", str(root / "corpus")], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
