"""Runs the examples of README.md as they stand, against a server on another port."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
README = (HERE.parent.parent / "README.md").read_text()


def example(language):
    [code] = re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)
    assert "7711" in code, "the example names the port"
    return code.replace("7711", os.environ["DISQUE_PORT"])


def check(name, command, code, suffix):
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, f"example{suffix}")
        path.write_text(code)
        # The example says require('redis'); here the package lies under the name of its version.
        (path.parent / "node_modules").mkdir()
        (path.parent / "node_modules" / "redis").symlink_to(HERE / "node_modules" / "redis6")
        result = subprocess.run([*command, path], capture_output=True, text=True, timeout=60)
    said = result.stdout + result.stderr
    if result.returncode == 0 and "emails" in result.stdout and "welcome" in result.stdout:
        print(f"ok README.md: the example in {name} runs")
    else:
        print(f"not ok README.md: the example in {name}: {said!r}")


check("Python", [sys.executable], example("python"), ".py")
check("JavaScript", ["node"], example("javascript"), ".cjs")
