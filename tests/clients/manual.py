"""Runs the examples of README.md and of the manual as they stand, against a server on another port.

A language whose programs or libraries are not installed is skipped.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
SOURCE = HERE.parent.parent
PAGES = ["README.md", "docs/manual/clients.md"]
SECONDS = 100


def examples(page, language):
    text = (SOURCE / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def run(command, **options):
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, **options)
    return result.returncode, result.stdout, result.stdout + result.stderr


def prepare_node(directory):
    # The example says require('redis'); here the package lies under the name of its version.
    (directory / "node_modules").mkdir()
    (directory / "node_modules" / "redis").symlink_to(HERE / "node_modules" / "redis6")


def prepare_java(directory):
    shutil.copy(HERE / "java" / "pom.xml", directory / "pom.xml")
    classpath = directory / "classpath"
    maven = ["mvn", "--quiet", "--batch-mode", "dependency:build-classpath", f"-Dmdep.outputFile={classpath}"]
    subprocess.run(maven, cwd=directory, capture_output=True, timeout=SECONDS, check=True)
    os.environ["CLASSPATH"] = classpath.read_text()


GO = ["GO111MODULE=off", "GOPATH=/usr/share/gocode"]
REDIGO = "github.com/gomodule/redigo/redis"

# Per language: the name of the file, the program, what must succeed for it to be tried, what is to be done before.
LANGUAGES = {
    "python": ("example.py", [sys.executable, "example.py"], [], None),
    "javascript": ("example.cjs", ["node", "example.cjs"], [], prepare_node),
    "ruby": ("example.rb", ["ruby", "example.rb"], [["ruby", "-e", "require 'redis'"]], None),
    "php": ("example.php", ["php", "example.php"], [["php", "-r", "new Redis();"]], None),
    # Debian's packages of Go libraries are sources below /usr/share/gocode.
    "go": ("main.go", ["env", *GO, "go", "run", "main.go"], [["env", *GO, "go", "list", REDIGO]], None),
    "java": ("Example.java", ["java", "Example.java"], [["java", "-version"], ["mvn", "--version"]], prepare_java),
}


def missing(needs):
    for command in needs:
        if shutil.which(command[0]) is None:
            return f"there is no {command[0]}"
        if run(command)[0] != 0:
            return f"{' '.join(command)} fails"
    return None


def check(page, language, code):
    file, command, needs, prepare = LANGUAGES[language]
    claim = f"{page}: the example in {language} runs"
    assert "7711" in code, "the example names the port"
    if why := missing(needs):
        print(f"skip {claim}: {why}")
        return
    with tempfile.TemporaryDirectory() as path:
        directory = pathlib.Path(path)
        (directory / file).write_text(code.replace("7711", os.environ["DISQUE_PORT"]))
        try:
            if prepare:
                prepare(directory)
        except subprocess.SubprocessError as error:
            print(f"skip {claim}: its library cannot be installed: {error}")
            return
        status, stdout, said = run(command, cwd=directory)
    if status == 0 and "emails" in stdout and "welcome" in stdout:
        print(f"ok {claim}")
    else:
        print(f"not ok {claim}: {said!r}")


for page in PAGES:
    for language in LANGUAGES:
        found = examples(page, language)
        if page.startswith("docs"):
            assert len(found) == 1, f"{page} has one example in {language}"
        for code in found:
            check(page, language, code)
